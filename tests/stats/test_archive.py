"""Raw rows leave the ledger for Parquet: none lost, none doubled, wherever it dies."""

import hashlib
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts.errors import UnavailableError
from midstage.stats.stream.archiving import Archiving

from .conftest import NOON, request
from .periods import Crash, CrashedError, Shard

SOURCE = "edges/edge-1/a"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLACES = (
    "archive:naming",
    "archive:written",
    "archive:renamed",
    "archive:leaving",
    "archive:left",
)


@pytest.fixture
def shard(tmp_path: Path) -> Iterable[Shard]:
    shard = Shard(directory=tmp_path, at=NOON + 10 * HOUR)
    yield shard
    shard.ledger.close()


def everything(shard: Shard) -> list[tuple[int, int, str]]:
    with shard.archive.rows() as (db, rows):
        return db.execute(f"SELECT row, seq, usage::VARCHAR FROM {rows} ORDER BY row").fetchall()


def held(shard: Shard) -> int:
    with shard.ledger.writing() as writing:
        ((rows,),) = writing.db.execute("SELECT count(*) FROM requests").fetchall()
    return int(rows)


def filled(shard: Shard, first: int, last: int) -> None:
    shard.count(
        *(request(SOURCE, n, time=NOON + n * timedelta(minutes=7)) for n in range(first, last + 1))
    )


def test_closed_hours_leave_the_ledger_and_every_question_finds_them_as_they_were(
    shard: Shard,
) -> None:
    filled(shard, 1, 40)
    before = everything(shard)
    assert shard.archived(before=NOON + 3 * HOUR) == 3
    assert held(shard) == len([n for n in range(1, 41) if n * 7 >= 180])
    assert everything(shard) == before
    assert [(one.part, one.hour) for one in shard.archive.files()] == [
        (0, NOON + n * HOUR) for n in range(3)
    ]
    shard.reopen()
    assert everything(shard) == before
    filled(shard, 41, 42)
    assert [row for row, _, _ in everything(shard)] == list(range(1, 43))


def test_late_rows_of_an_archived_hour_make_one_more_file_and_change_none(shard: Shard) -> None:
    filled(shard, 1, 8)
    shard.archived(before=NOON + HOUR)
    first = shard.archive.files()
    shard.count(request(SOURCE, 99, time=NOON), request(SOURCE, 100, time=NOON))
    shard.archived(before=NOON + HOUR)
    assert [(one.part, one.rows) for one in shard.archive.files()] == [(0, 8), (1, 2)]
    assert shard.archive.files()[:1] == first
    assert shard.archive.damaged() == []
    assert len(everything(shard)) == 10


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    found = set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        shard = Shard(directory=tmp_path / name, at=NOON + 10 * HOUR)
        filled(shard, 1, 30)
        shard.archived(before=NOON + 9 * HOUR)
        found.add(tuple(one.sha256 for one in shard.archive.files()))
        for one in shard.archive.files():
            content = (tmp_path / name / "usage-0.duckdb.archive" / one.file).read_bytes()
            assert hashlib.sha256(content).hexdigest() == one.sha256
        shard.ledger.close()
    assert len(found) == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_crash_at_any_step_loses_and_doubles_nothing(shard: Shard, place: str) -> None:
    filled(shard, 1, 20)
    before = everything(shard)
    shard.reached = Crash(place, nth=2)
    with pytest.raises(CrashedError):
        shard.archived(before=NOON + 2 * HOUR)
    shard.reached = Crash()
    shard.reopen()
    assert everything(shard) == before
    shard.archived(before=NOON + 2 * HOUR)
    assert everything(shard) == before
    assert sum(one.rows for one in shard.archive.files()) == 20 - held(shard)
    assert shard.archive.due(before=NOON + 2 * HOUR, upto_row=20) == []
    assert shard.archive.damaged() == []


def test_an_hour_is_due_when_all_of_it_is_over(shard: Shard) -> None:
    last, first = NOON + HOUR - timedelta(microseconds=1), NOON + HOUR
    shard.count(request(SOURCE, 1, time=last), request(SOURCE, 2, time=first))
    for before in (first, first + HOUR - timedelta(microseconds=1)):
        assert shard.archive.due(before=before, upto_row=2) == [NOON]
    assert shard.archive.due(before=last, upto_row=2) == []


def test_rows_that_somebody_still_needs_here_stay(shard: Shard) -> None:
    filled(shard, 1, 8)
    (hour,) = shard.archive.due(before=NOON + HOUR, upto_row=5)
    shard.archive.archive(hour, upto_row=5)
    assert held(shard) == 3


def test_what_leaves_is_as_old_as_it_has_to_be_and_known_to_who_needs_it(shard: Shard) -> None:
    """Rows up to the eighth are known; it stops between two hours when it is told to."""
    filled(shard, 1, 20)
    upto, stop = [8], threading.Event()
    loop = Archiving(
        archive=shard.archive,
        now=lambda: NOON + 7 * DAY + 2 * HOUR + HOUR / 2,
        kept=7 * DAY,
        upto_row=lambda: upto[0],
    )
    stop.set()
    loop.look(stop)
    assert held(shard) == 20
    stop.clear()
    loop.look(stop)
    assert held(shard) == 20 - 8
    upto[0] = 20
    loop.look(stop)
    assert [one.hour for one in shard.archive.files()] == [NOON, NOON + HOUR]
    assert held(shard) == len([n for n in range(1, 21) if n * 7 >= 120])


def test_a_file_that_is_gone_or_changed_is_named(shard: Shard) -> None:
    filled(shard, 1, 8)
    shard.archived(before=NOON + HOUR)
    (one,) = shard.archive.files()
    file = shard.directory / "usage-0.duckdb.archive" / one.file
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    assert shard.archive.damaged() == [one.file]
    file.unlink()
    assert shard.archive.damaged() == [one.file]
    with pytest.raises(UnavailableError, match="put it back"):
        everything(shard)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.integers(0, 5 * 60)),
        st.tuples(st.just("archive"), st.integers(0, 5)),
        st.tuples(st.sampled_from(PLACES), st.integers(1, 3)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=8,
)


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_whatever_happens_in_whatever_order_each_row_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, happens: list[tuple[str, int]]
) -> None:
    shard = Shard(directory=tmp_path_factory.mktemp("shard"), at=NOON + 10 * HOUR)
    counted = 0
    for what, number in happens:
        if what == "count":
            counted += 1
            shard.count(request(SOURCE, counted, time=NOON + timedelta(minutes=number)))
        elif what == "archive":
            shard.archived(before=NOON + number * HOUR)
        elif what == "restart":
            shard.reopen()
        else:
            shard.reached = Crash(what, nth=number)
            try:
                shard.archived(before=NOON + 6 * HOUR)
            except CrashedError:
                shard.reopen()
            shard.reached = Crash()
        assert [row for row, _, _ in everything(shard)] == list(range(1, counted + 1))
    shard.ledger.close()
