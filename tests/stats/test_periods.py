"""A month is closed over what is in the ledger, and its statement can be made again from rows."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts.billing import Line
from midstage.contracts.errors import RefusedError
from midstage.contracts.fact import Event
from midstage.contracts.requests import RequestCompleted
from midstage.stats.adapters.merging import Merging
from midstage.stats.decide.billing import Part
from midstage.stats.decide.periods import Accepted, Period, meant, over
from midstage.stats.model import Closing, Ended
from midstage.stats.views.statements import canonical, digest, pieces, table

from .conftest import request
from .periods import DECEMBER, NOBODY, NOVEMBER, Crash, CrashedError, Shard, beaten

SOURCE = "edges/edge-1/a"
DAY = timedelta(days=1)
MIDDLE = NOVEMBER.since + 14 * DAY


@pytest.fixture
def shard(tmp_path: Path) -> Iterable[Shard]:
    shard = Shard(directory=tmp_path)
    yield shard
    shard.ledger.close()


def used(
    seq: int, at: datetime, *, customer: str = "acme", tokens: float = 3, source: str = SOURCE
) -> Event[RequestCompleted]:
    usage = {"input_tokens": tokens}
    return request(source, seq, time=at, customer=customer, usage=usage, bytes_in=seq)


def complete(shard: Shard, highest: int) -> None:
    shard.count(said=(beaten(SOURCE, highest, shard.at),))


def amounts(lines: Iterable[Line]) -> dict[tuple[str, str], int]:
    return {(line.customer, line.name): int(line.amount) for line in lines}


def bytes_of(period: Period, part: Part | None) -> bytes:
    assert part is not None
    return canonical(period, [part], NOBODY)


def test_a_seal_takes_the_sums_of_its_month_and_of_no_other(shard: Shard) -> None:
    shard.count(
        used(1, NOVEMBER.since - timedelta(microseconds=1)),
        used(2, NOVEMBER.since),
        used(3, MIDDLE, customer="bolt", tokens=0.25),
        used(4, NOVEMBER.until - timedelta(microseconds=1)),
        used(5, NOVEMBER.until),
    )
    complete(shard, 5)
    part = shard.periods.seal(NOVEMBER, NOBODY)
    assert amounts(part.lines) == {
        ("acme", "input_tokens"): 6_000_000,
        ("acme", "ok"): 2,
        ("bolt", "input_tokens"): 250_000,
        ("bolt", "ok"): 1,
    }
    assert [(one.source, one.rows, one.first, one.last) for one in part.sources] == [
        (SOURCE, 3, 2, 4)
    ]
    assert (part.seal.row, part.late, part.gaps) == (5, (), ())


def test_sealed_again_it_is_what_it_was_whatever_came_meanwhile(shard: Shard) -> None:
    shard.count(used(1, MIDDLE))
    complete(shard, 1)
    first = shard.periods.seal(NOVEMBER, NOBODY)
    shard.count(used(2, MIDDLE))
    shard.reopen()
    assert shard.periods.seal(NOVEMBER, NOBODY) == first
    other = Period(name="2026-11", since=NOVEMBER.since, until=MIDDLE, zone="UTC")
    with pytest.raises(RefusedError, match="is sealed as"):
        shard.periods.seal(other, NOBODY)


def test_what_comes_late_is_on_the_next_statement_once_and_names_its_month(shard: Shard) -> None:
    shard.count(used(1, MIDDLE), used(2, NOVEMBER.since - DAY))
    complete(shard, 2)
    shard.periods.seal(NOVEMBER, NOBODY)
    shard.at = DECEMBER.until + timedelta(minutes=1)
    shard.count(used(3, MIDDLE), used(4, MIDDLE), used(5, DECEMBER.since + DAY))
    shard.count(used(6, NOVEMBER.since - DAY))
    opened = shard.periods.opened(shard.ledger.row())
    assert opened is not None
    assert (opened.since, opened.after_row) == (DECEMBER.since, 2)
    complete(shard, 6)
    part = shard.periods.seal(DECEMBER, NOBODY, NOVEMBER.name)
    assert part.late == opened.late
    assert [(late.period, late.line.name, late.line.amount) for late in part.late] == [
        ("", "ok", "1"),
        ("", "input_tokens", "3000000"),
        ("2026-11", "ok", "2"),
        ("2026-11", "input_tokens", "6000000"),
    ]
    assert amounts(part.lines) == {("acme", "input_tokens"): 3_000_000, ("acme", "ok"): 1}
    january = Period(
        name="2027-01", since=DECEMBER.until, until=DECEMBER.until + 31 * DAY, zone="UTC"
    )
    shard.at = january.until + timedelta(minutes=1)
    complete(shard, 6)
    assert shard.periods.seal(january, NOBODY, DECEMBER.name).late == ()


def test_a_month_is_the_same_of_minutes_of_days_and_of_what_came_since(shard: Shard) -> None:
    shard.count(*(used(n, NOVEMBER.since + n * timedelta(hours=7)) for n in range(1, 50)))
    Merging(shard.ledger)(before=MIDDLE)
    shard.count(*(used(n, NOVEMBER.since + (n - 49) * DAY) for n in range(50, 60)))
    complete(shard, 59)
    part = shard.periods.seal(NOVEMBER, NOBODY)
    assert amounts(part.lines)["acme", "ok"] == 59
    assert shard.periods.remade(NOVEMBER.name) == part


def test_late_rows_name_the_month_that_they_lie_in_and_change_none_before(shard: Shard) -> None:
    """Rows at both ends of each month, and before all; told from what has left for the archive."""
    tick = timedelta(microseconds=1)
    months = [NOVEMBER, DECEMBER]
    for number, month in enumerate(months):
        shard.at = month.until + timedelta(minutes=1)
        shard.count(*(used(n, MIDDLE) for n in range(1, number + 1)))
        complete(shard, number)
        shard.periods.seal(month, NOBODY, months[0].name if number else None)
    ends = [at for month in months for at in (month.since, month.until - tick)]
    shard.count(*(used(n, at) for n, at in enumerate((NOVEMBER.since - tick, *ends), 2)))
    opened = shard.periods.opened(shard.ledger.row())
    assert opened is not None
    assert [(one.period, one.line.amount) for one in opened.late if one.line.name == "ok"] == [
        ("", "1"),
        ("2026-11", "2"),
        ("2026-12", "2"),
    ]
    assert shard.archived() > 0
    assert shard.periods.opened(shard.ledger.row()) == opened
    january = Period(
        name="2027-01", since=DECEMBER.until, until=DECEMBER.until + 31 * DAY, zone="UTC"
    )
    shard.at = january.until + timedelta(minutes=1)
    complete(shard, 6)
    assert shard.periods.seal(january, NOBODY, DECEMBER.name).late == opened.late
    for month in (*months, january):
        assert shard.periods.remade(month.name) == shard.periods.part(month.name)


def test_periods_follow_each_other(shard: Shard) -> None:
    complete(shard, 0)
    shard.periods.seal(NOVEMBER, NOBODY)
    gap = Period(name="x", since=NOVEMBER.until + DAY, until=DECEMBER.until, zone="UTC")
    overlap = Period(name="x", since=MIDDLE, until=DECEMBER.until, zone="UTC")
    for wrong in (gap, overlap):
        with pytest.raises(RefusedError, match="periods follow each other"):
            shard.periods.seal(wrong, NOBODY, NOVEMBER.name)


def test_a_month_with_a_hole_is_sealed_only_by_who_answers_for_it(shard: Shard) -> None:
    shard.count(used(1, MIDDLE), used(3, MIDDLE))
    complete(shard, 3)
    with pytest.raises(RefusedError, match="edges/edge-1/a 2; wait"):
        shard.periods.seal(NOVEMBER, NOBODY)
    with pytest.raises(RefusedError, match="give by and why"):
        shard.periods.seal(NOVEMBER, Accepted(gaps=True, by="ann", why=" "))
    part = shard.periods.seal(NOVEMBER, Accepted(gaps=True, by="ann", why="the disk is lost"))
    assert [(gap.first, gap.last) for gap in part.gaps] == [(2, 2)]


def test_an_edge_that_has_not_said_all_of_the_month_holds_it_open(shard: Shard) -> None:
    shard.count(used(1, MIDDLE), said=(beaten(SOURCE, 1, NOVEMBER.until - timedelta(seconds=1)),))
    with pytest.raises(RefusedError, match="not complete: edges/edge-1/a after 1"):
        shard.periods.seal(NOVEMBER, NOBODY)
    complete(shard, 1)
    shard.periods.seal(NOVEMBER, NOBODY)


def test_what_ends_where_a_month_begins_is_of_the_month_before(shard: Shard) -> None:
    """To the microsecond: the month itself, what an edge has said, and a hole."""
    over(NOVEMBER, now=NOVEMBER.until)
    with pytest.raises(RefusedError, match="ends at 2026-12-01T00:00:00Z only"):
        over(NOVEMBER, now=NOVEMBER.until - timedelta(microseconds=1))
    hour = timedelta(hours=1)
    shard.count(used(1, NOVEMBER.until - 2 * hour), used(3, NOVEMBER.until - hour))
    shard.count(said=(beaten(SOURCE, 3, NOVEMBER.until),))
    (gap,) = shard.periods.gaps(NOVEMBER)
    assert (gap.first, gap.last, gap.before) == (2, 2, NOVEMBER.until)
    complete(shard, 3)
    shard.at = DECEMBER.until
    complete(shard, 3)
    assert shard.periods.gaps(NOVEMBER) == (gap,)
    assert shard.periods.gaps(DECEMBER) == ()


def test_a_source_that_died_has_to_be_answered_for_in_its_month_and_in_no_later_one(
    shard: Shard,
) -> None:
    heard = MIDDLE + timedelta(minutes=5)
    shard.count(used(1, MIDDLE), said=(beaten(SOURCE, 1, heard),))
    (gap,) = shard.periods.gaps(NOVEMBER)
    assert (gap.first, gap.last, gap.after, gap.before) == (2, None, heard, heard)
    assert shard.periods.gaps(DECEMBER) == ()
    shard.count(
        said=(Ended(source=SOURCE, edge="edge-1", closing=Closing(at=heard, highest=1, torn=0)),)
    )
    assert shard.periods.gaps(NOVEMBER) == ()


@pytest.mark.parametrize("place", ["seal:sealing", "seal:sealed"])
def test_a_crash_while_it_seals_leaves_a_whole_seal_or_none(shard: Shard, place: str) -> None:
    shard.count(used(1, MIDDLE))
    complete(shard, 1)
    shard.reached = Crash(place)
    with pytest.raises(CrashedError):
        shard.periods.seal(NOVEMBER, NOBODY)
    shard.reached = Crash()
    shard.reopen()
    assert len(shard.periods.sealed()) == (1 if place == "seal:sealed" else 0)
    shard.count(used(2, MIDDLE))
    complete(shard, 2)
    part = shard.periods.seal(NOVEMBER, NOBODY)
    assert part.seal.row == (1 if place == "seal:sealed" else 2)
    assert shard.periods.remade(NOVEMBER.name) == part


def test_a_statement_is_made_again_byte_for_byte_from_parquet_and_late_rows_do_not_show(
    shard: Shard,
) -> None:
    shard.count(*(used(n, NOVEMBER.since + n * timedelta(hours=5)) for n in range(1, 100)))
    complete(shard, 99)
    statement = bytes_of(NOVEMBER, shard.periods.seal(NOVEMBER, NOBODY))
    shard.archived(before=MIDDLE)
    shard.count(*(used(n, MIDDLE - n * timedelta(hours=1)) for n in range(100, 120)))
    shard.archived()
    shard.reopen()
    shard.count(*(used(n, MIDDLE) for n in range(120, 130)))
    assert bytes_of(NOVEMBER, shard.periods.part(NOVEMBER.name)) == statement
    assert bytes_of(NOVEMBER, shard.periods.remade(NOVEMBER.name)) == statement
    with shard.ledger.writing() as writing:
        writing.db.execute("DELETE FROM requests")
    assert bytes_of(NOVEMBER, shard.periods.remade(NOVEMBER.name)) == statement
    (shard.directory / "usage-0.duckdb.archive" / shard.archive.files()[0].file).unlink()
    with pytest.raises(Exception, match="put it back"):
        shard.periods.remade(NOVEMBER.name)


def test_a_month_of_a_zone_at_half_an_hour_is_cut_where_it_begins_there(shard: Shard) -> None:
    november = meant(name="2026-11", since=None, until=None, zone="Asia/Kolkata")
    assert november.since == datetime(2026, 10, 31, 18, 30, tzinfo=UTC)
    shard.count(
        *(
            used(n, november.since + offset)
            for n, offset in enumerate(
                (-timedelta(minutes=1), timedelta(0), timedelta(minutes=29), timedelta(minutes=31)),
                1,
            )
        ),
        used(5, november.until - timedelta(minutes=1)),
        used(6, november.until),
    )
    complete(shard, 6)
    part = shard.periods.seal(november, NOBODY)
    assert amounts(part.lines)["acme", "ok"] == 4
    assert [(one.rows, one.first, one.last) for one in part.sources] == [(4, 2, 5)]
    assert shard.periods.remade(november.name) == part
    shard.archived()  # its first hour's file is another month's, too
    assert shard.periods.remade(november.name) == part


def test_a_month_has_the_hours_that_its_zone_gives_it() -> None:
    def hours(name: str, zone: str) -> float:
        period = meant(name=name, since=None, until=None, zone=zone)
        return (period.until - period.since) / timedelta(hours=1)

    assert hours("2026-10", "Europe/Berlin") == 31 * 24 + 1
    assert hours("2026-03", "Europe/Berlin") == 31 * 24 - 1
    assert hours("2028-02", "UTC") == 29 * 24
    assert meant(name="q4", since="2026-10-01", until="2027-01-01", zone="Europe/Berlin") == Period(
        name="q4",
        since=datetime(2026, 9, 30, 22, tzinfo=UTC),
        until=datetime(2026, 12, 31, 23, tzinfo=UTC),
        zone="Europe/Berlin",
    )


@pytest.mark.parametrize(
    ("name", "since", "until", "zone"),
    [
        ("../x", None, None, "UTC"),
        ("2026-13", None, None, "UTC"),
        ("x", "2026-11-01", None, "UTC"),
        ("x", "2026-11-01", "2026-11-01", "UTC"),
        ("x", "2026-12-01", "2026-11-01", "UTC"),
        ("x", "2026-11-01T00:00:30", "2026-12-01", "UTC"),
        ("x", "2020-11-01", "2026-12-01", "UTC"),
        ("x", "nonsense", "2026-12-01", "UTC"),
        ("2026-11", None, None, "Mars/Base"),
        ("2026-11", None, None, "../../etc/passwd"),
        ("2026-11", None, None, ""),
    ],
)
def test_what_is_no_period_is_refused(
    name: str, since: str | None, until: str | None, zone: str
) -> None:
    with pytest.raises(RefusedError):
        meant(name=name, since=since, until=until, zone=zone)


def test_a_large_statement_is_cut_into_pieces_that_are_it(shard: Shard) -> None:
    shard.count(*(used(n, MIDDLE, customer=f'c"{n}é') for n in range(1, 3000)))
    complete(shard, 2999)
    statement = bytes_of(NOVEMBER, shard.periods.seal(NOVEMBER, NOBODY))
    cut = pieces("2026-11", statement)
    assert len(cut) > 1
    assert "".join(piece.content for piece in cut).encode() == statement
    assert {piece.statement_sha256 for piece in cut} == {digest(statement)}
    lines = table(statement).splitlines()
    assert len(lines) == 1 + 2 * 2999
    assert json.loads(statement)["period"] == "2026-11"


moments = st.integers(-40 * 24 * 60, 70 * 24 * 60)  # minutes around the beginning of November
happens = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.lists(moments, min_size=1, max_size=6)),
        st.tuples(st.just("seal"), st.just([])),
        st.tuples(st.just("archive"), st.just([])),
        st.tuples(st.just("restart"), st.just([])),
    ),
    min_size=2,
    max_size=9,
)


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(happens)
def test_in_whatever_order_it_comes_each_row_is_on_one_statement(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[int]]]
) -> None:
    """All statements together have every row that was sealed, each one once, and can be remade."""
    shard = Shard(directory=tmp_path_factory.mktemp("shard"))
    left, parts = [NOVEMBER, DECEMBER], list[tuple[Period, Part]]()
    seq, billed = 0, 0
    expected = Counter[str]()
    for what, minutes in [*steps, ("seal", []), ("seal", [])]:
        if what == "count":
            at = [NOVEMBER.since + timedelta(minutes=minute) for minute in minutes]
            shard.count(*(used(seq + n, time) for n, time in enumerate(at, 1)))
            seq += len(at)
            expected.update(str(time) for time in at)
        elif what == "archive":
            shard.archived(before=MIDDLE)
        elif what == "restart":
            shard.reopen()
        elif left:
            period = left.pop(0)
            shard.at = period.until + timedelta(hours=1)
            complete(shard, seq)
            last = parts[-1][0].name if parts else None
            parts.append((period, shard.periods.seal(period, NOBODY, last)))
    for period, part in parts:
        assert shard.periods.remade(period.name) == part
        billed += sum(int(line.amount) for line in part.lines if line.name == "ok")
        billed += sum(int(late.line.amount) for late in part.late if late.line.name == "ok")
    upto = parts[-1][1].seal.row
    with shard.archive.rows() as (db, rows):
        ((never,),) = db.execute(
            f"SELECT count(*) FROM {rows} WHERE row > {upto} OR time >= TIMESTAMP '2027-01-01' "
            f"OR (time < TIMESTAMP '2026-11-01' AND row <= {parts[0][1].seal.row})"
        ).fetchall()
    assert billed == expected.total() - never
    shard.ledger.close()
