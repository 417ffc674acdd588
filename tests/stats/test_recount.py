"""Counting again finds what was tampered with, and nothing where nothing was."""

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import pytest

from midstage.contracts.requests import Outcome
from midstage.stats.adapters.merging import Merging
from midstage.stats.adapters.recount import Recount

from .conftest import request
from .periods import Shard, beaten
from .test_periods import MIDDLE, SOURCE, used


@pytest.fixture
def shard(tmp_path: Path) -> Iterable[Shard]:
    """Three days, a part of them archived: billed and refused, numbered and not, bytes and zero."""
    shard = Shard(directory=tmp_path)
    for day in range(3):
        at = MIDDLE + timedelta(days=day)
        shard.count(
            *(used(10 * day + n, at + n * timedelta(minutes=11)) for n in range(1, 10)),
            request("jobs", None, event_id=f"j-{day}", time=at, usage={"images": 0}),
            request(
                SOURCE,
                10 * day + 10,
                time=at,
                outcome=Outcome.REFUSED,
                status=429,
                bytes_in=12,
                usage={"input_tokens": 9},
            ),
        )
    shard.archived(before=MIDDLE + timedelta(days=1, hours=1))
    yield shard
    shard.ledger.close()


def days(shard: Shard) -> list[tuple[date | None, int, list[tuple[str, str, str]]]]:
    recount, after, found = Recount(shard.archive), date.min, []
    while True:
        one = recount.day(after)
        said = [(differ.table, differ.rows_say, differ.ledger_says) for differ in one.first]
        assert len(said) == one.differences
        assert one.cells > 0
        found.append((one.day, one.rows, said))
        if one.next is None:
            return found
        after = one.next


def tamper(shard: Shard, statement: str) -> None:
    with shard.ledger.writing() as writing:
        writing.db.execute(statement)


def test_rows_counted_again_say_what_the_ledger_says(shard: Shard) -> None:
    assert days(shard) == [((MIDDLE + timedelta(days=n)).date(), 11, []) for n in range(3)]
    whole = Recount(shard.archive).whole()
    assert (whole.rows, whole.differences) == (33, 0)


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE minutes SET amount = amount + 1 WHERE name = 'input_tokens'", "minutes"),
        ("DELETE FROM minutes WHERE kind = 'outcome'", "minutes"),
        ("UPDATE source_hours SET rows = rows + 1", "source_hours"),
        ("INSERT INTO minutes FROM minutes LIMIT 1", "minutes"),
        (
            "INSERT INTO minutes SELECT * REPLACE (minute + INTERVAL 9 DAY AS minute) FROM minutes "
            "LIMIT 1",
            "minutes",
        ),
        ("UPDATE requests SET usage = MAP {'input_tokens': 1}", "minutes"),
    ],
)
def test_negative_control_what_was_tampered_with_is_found(
    shard: Shard, statement: str, table: str
) -> None:
    tamper(shard, statement)
    found = [name for _, _, differ in days(shard) for name, _, _ in differ]
    assert table in found


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("UPDATE days SET amount = amount + 1", {"days", "customer_days"}),
        ("DELETE FROM days", {"days", "customer_days"}),
        ("DELETE FROM customer_days", {"customer_days"}),
        ("UPDATE customer_days SET customer = 'bolt'", {"customer_days"}),
        ("UPDATE hours SET customer = 'bolt' WHERE kind = 'outcome'", {"hours"}),
        ("UPDATE hours SET amount = 0 WHERE kind = 'bytes'", {"hours"}),
        ("UPDATE rolled SET version = 1", {"hours", "days"}),
    ],
)
def test_hours_and_days_are_counted_again_too_with_what_came_late(
    shard: Shard, statement: str, tables: set[str]
) -> None:
    Merging(shard.ledger)(before=MIDDLE + timedelta(days=2))
    shard.count(used(99, MIDDLE))
    assert [differ for _, _, differ in days(shard)] == [[], [], []]
    tamper(shard, statement)
    assert {name for _, _, differ in days(shard) for name, _, _ in differ} == tables


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("DELETE FROM requests WHERE row = 33", "heads"),
        ("INSERT INTO requests SELECT * FROM requests WHERE row = 31", "heads"),
        ("UPDATE requests SET row = 32 WHERE row = 31", "heads"),
        ("UPDATE requests SET row = 99 WHERE row = 31", "heads"),
        ("UPDATE requests SET seq = 1 WHERE row = 31", "sources"),
        ("DELETE FROM sources", "sources"),
    ],
)
def test_negative_control_rows_that_are_lost_or_doubled_are_found(
    shard: Shard, statement: str, table: str
) -> None:
    tamper(shard, statement)
    found = Recount(shard.archive).whole()
    assert table in {differ.table for differ in found.first}


def test_negative_control_a_number_changed_for_one_that_is_missing_is_found(shard: Shard) -> None:
    shard.count(used(33, MIDDLE), used(35, MIDDLE))
    assert Recount(shard.archive).whole().differences == 0
    tamper(shard, "UPDATE requests SET seq = 34 WHERE seq = 33")
    assert [differ.table for differ in Recount(shard.archive).whole().first] == ["sources"]


def test_a_changed_archive_is_found(shard: Shard) -> None:
    one = shard.archive.files()[0]
    file = shard.directory / "usage-0.duckdb.archive" / one.file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    tampered = bytes(content)
    file.write_bytes(tampered)
    assert shard.archive.damaged() == [one.file]


def test_a_changed_file_of_which_all_rows_can_be_read_is_found_too(shard: Shard) -> None:
    one = shard.archive.files()[0]
    file = shard.directory / "usage-0.duckdb.archive" / one.file
    content = file.read_bytes()
    assert b"parquet-cpp-arrow" in content
    file.write_bytes(content.replace(b"parquet-cpp-arrow", b"parquet-cpp-arroW"))
    whole = Recount(shard.archive).whole()
    assert (whole.rows, whole.differences) == (33, 1)
    assert [(differ.table, differ.cell) for differ in whole.first] == [("archives", (one.file,))]


def test_numbers_that_are_known_to_be_missing_are_no_difference(shard: Shard) -> None:
    shard.count(said=(beaten(SOURCE, 99, shard.at),))
    assert Recount(shard.archive).whole().differences == 0


def test_a_ledger_without_rows_has_no_day(tmp_path: Path) -> None:
    shard = Shard(directory=tmp_path)
    assert Recount(shard.archive).day(date.min).day is None
    assert Recount(shard.archive).whole().differences == 0
    shard.ledger.close()
