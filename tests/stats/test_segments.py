"""Rows of large chunks are files: part of the ledger with their commit, or not at all."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts import sketch
from midstage.contracts.errors import UnavailableError
from midstage.contracts.fact import Event
from midstage.contracts.requests import RequestCompleted
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Partition
from midstage.stats.adapters import queries
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.rows import beside
from midstage.stats.adapters.schema import SCHEMA
from midstage.stats.views.rows import RowsQuery
from midstage.stats.views.usage.asking import from_parameters

from .conftest import NOON, decided, request
from .periods import Crash, CrashedError, Shard

SOURCE = "edges/edge-1/a"
PLACE = Partition(topic="t", number=0)
HOUR = timedelta(hours=1)
LEAST = 3
PLACES = ("segments:written", "segments:durable", "ledger:inserted", "ledger:committed")
Said = Sequence[Event[RequestCompleted]]


def opened(file: Path, reached: Failpoint = nothing, *, least: int = LEAST) -> DuckdbLedger:
    return DuckdbLedger(file, now=lambda: NOON, memory_mb=128, segment_rows=least, reached=reached)


def count(ledger: DuckdbLedger, said: Said) -> None:
    begin = ledger.positions().get(PLACE, 0)
    ledger.commit(decided(ledger, said), begins={PLACE: begin}, ends={PLACE: begin + len(said)})


def numbered(*numbers: int, hour: int = 0) -> Said:
    return [request(SOURCE, n, time=NOON + hour * HOUR, labels={"n": str(n)}) for n in numbers]


def files(file: Path) -> list[str]:
    return sorted(one.name for one in beside(file).iterdir())


def in_the_table(ledger: DuckdbLedger) -> int:
    with ledger.writing() as writing:
        ((rows,),) = writing.db.execute("SELECT count(*) FROM requests").fetchall()
    return int(rows)


def shown(
    ledger: DuckdbLedger, *, after: int = 0, limit: int = 100
) -> list[tuple[int, int | None, Mapping[str, str]]]:
    page = ledger.queries().rows(RowsQuery(after=after, limit=limit))
    return [(row.row, row.seq, row.labels) for row in page.requests]


def test_many_numbered_rows_of_an_hour_are_a_file_and_all_else_is_in_the_table(
    tmp_path: Path,
) -> None:
    file = tmp_path / "usage.duckdb"
    ledger = opened(file)
    few, many = numbered(1, 2, hour=1), numbered(3, 4, 5)
    count(ledger, [*few, *many, request("jobs", None, event_id="x")])
    assert files(file) == ["segment-2026-01-01T12-00000000000000000003.parquet"]
    assert in_the_table(ledger) == 3
    assert len(ledger.unnumbered(0)) == 1
    assert [(row, seq) for row, seq, _ in shown(ledger)] == [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 5),
        (6, None),
    ]
    ledger.close()


def test_every_question_has_the_rows_of_segments(tmp_path: Path) -> None:
    """The same chunks in a ledger with segments and in one without."""
    answers = []
    for least in (LEAST, 1_000):
        ledger = opened(tmp_path / f"{least}.duckdb", least=least)
        count(ledger, numbered(1, 2, 3, 4))
        count(ledger, numbered(5))
        count(ledger, numbered(6, 7, 8, hour=1))
        asked = [("group_by", "label.n"), ("measures", "requests,units,latency_ms.p50")]
        question = from_parameters(asked, now=NOON).question
        groups = ledger.queries().usage.part(question, versions=None, now=NOON).groups
        recent = ledger.facts().recent(since=NOON, until=NOON + timedelta(days=1))
        recorded = ledger.queries().recorded(since=NOON)
        answers.append(
            (
                shown(ledger),
                shown(ledger, after=2, limit=3),
                sorted((group.key, group.outcomes, group.micros) for group in groups),
                (list(recent.rows.app), recent.rows.time.tolist(), recent.versions.tolist()),
                (recorded.rows, recorded.ages),
            )
        )
        ledger.close()
    assert answers[0] == answers[1]
    assert len(answers[0][0]) == 8
    assert len(answers[0][2]) == 8
    assert files(tmp_path / "1000.duckdb") == []
    assert len(files(tmp_path / f"{LEAST}.duckdb")) == 2


def test_late_rows_of_a_segment_are_as_new_as_their_commit(tmp_path: Path) -> None:
    ledger = opened(tmp_path / "usage.duckdb")
    count(ledger, numbered(1, 2, 3, hour=-5))
    assert sketch.count(ledger.queries().recorded(since=NOON).ages) == 3
    ledger.close()


def test_a_page_is_looked_for_in_ever_more_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "AT_ONCE", 2)
    ledger = opened(tmp_path / "usage.duckdb")
    for first in range(1, 31, 3):
        count(ledger, numbered(first, first + 1, first + 2))
    assert [row for row, _, _ in shown(ledger)] == list(range(1, 31))
    assert [row for row, _, _ in shown(ledger, after=7, limit=4)] == [8, 9, 10, 11]
    assert ledger.queries().rows(RowsQuery(after=26, limit=4)).next is None
    assert ledger.queries().rows(RowsQuery(after=25, limit=4)).next == 29
    ledger.close()


@pytest.mark.parametrize("place", PLACES)
def test_a_crash_leaves_the_chunk_as_a_whole_or_nothing_of_it(tmp_path: Path, place: str) -> None:
    file = tmp_path / "usage.duckdb"
    ledger = opened(file, Crash(place, nth=2))
    count(ledger, numbered(1, 2, 3))
    with pytest.raises(CrashedError):
        count(ledger, numbered(4, 5, 6, 7))
    ledger.close()
    there = place == "ledger:committed"
    again = opened(file)
    assert len(files(file)) == 1 + there
    assert again.positions() == {PLACE: 7 if there else 3}
    assert [row for row, _, _ in shown(again)] == list(range(1, 8 if there else 4))
    if not there:
        count(again, numbered(4, 5, 6))
    count(again, numbered(8, 9, 10))
    assert [seq for _, seq, _ in shown(again)][:3] == [1, 2, 3]
    assert [row for row, _, _ in shown(again)] == list(range(1, len(shown(again)) + 1))
    assert len(files(file)) == 3
    again.close()


def test_a_torn_file_that_no_commit_named_is_written_over(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    opened(file).close()
    torn = beside(file) / "segment-2026-01-01T12-00000000000000000001.parquet"
    ledger = opened(file)
    torn.write_bytes(b"PAR1 and no more")
    count(ledger, numbered(1, 2, 3))
    assert [row for row, _, _ in shown(ledger)] == [1, 2, 3]
    ledger.close()


def test_what_nobody_named_goes_at_the_start_and_what_is_anothers_stays(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    ledger = opened(file)
    count(ledger, numbered(1, 2, 3))
    ledger.close()
    (named,) = files(file)
    (beside(file) / "segment-2026-01-01T13-00000000000000000004.parquet").write_bytes(b"torn")
    (beside(file) / "notes.txt").write_text("mine")
    opened(file).close()
    assert files(file) == ["notes.txt", named]


def test_a_segment_that_is_gone_makes_questions_fail_and_name_it(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    ledger = opened(file)
    count(ledger, numbered(1, 2, 3))
    (named,) = files(file)
    (beside(file) / named).unlink()
    with pytest.raises(UnavailableError, match=named):
        shown(ledger)
    ledger.close()


def test_a_segment_becomes_a_file_of_the_archive_by_its_name_alone(tmp_path: Path) -> None:
    shard = Shard(directory=tmp_path, at=NOON + 10 * HOUR, segment_rows=LEAST)
    shard.count(*numbered(1, 2, 3))
    shard.count(*numbered(4))
    shard.count(*numbered(5, 6, 7))
    shard.count(*numbered(8, 9, 10, hour=1))
    before = {name: (beside(shard.file) / name).read_bytes() for name in files(shard.file)}
    assert shard.archived(before=NOON + HOUR) == 1
    held = shard.archive.files()
    assert [(one.part, one.rows, one.first_row) for one in held] == [
        (0, 3, 1),
        (1, 3, 5),
        (2, 1, 4),
    ]
    for one in held[:2]:
        assert hashlib.sha256(before[one.file]).hexdigest() == one.sha256
    with shard.archive.rows() as (db, rows):
        assert db.execute(f"SELECT row FROM {rows} ORDER BY row").fetchall() == [
            (row,) for row in range(1, 11)
        ]
    assert [row for row, _, _ in shown(shard.ledger)] == [8, 9, 10]
    assert shard.ledger.archived_upto() == 7
    shard.reopen()
    assert {name: (beside(shard.file) / name).read_bytes() for name in before} == before
    assert shard.archive.damaged() == []
    (beside(shard.file) / held[0].file).write_bytes(b"else")
    (last,) = [name for name in before if "T13" in name]
    (beside(shard.file) / last).write_bytes(b"else")
    assert shard.archive.damaged() == sorted([held[0].file, last])
    shard.ledger.close()


def test_rows_that_somebody_still_needs_here_stay(tmp_path: Path) -> None:
    shard = Shard(directory=tmp_path, at=NOON + 10 * HOUR, segment_rows=LEAST)
    shard.count(*numbered(1, 2, 3))
    shard.count(*numbered(4, 5, 6))
    assert shard.archive.due(before=NOON + HOUR, upto_row=2) == []
    assert shard.archive.archive(NOON, upto_row=5) == 3
    assert [row for row, _, _ in shown(shard.ledger)] == [4, 5, 6]
    shard.ledger.close()


def test_a_ledger_of_before_is_opened_and_has_segments_from_then_on(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    ledger = opened(file, least=1_000)
    count(ledger, numbered(1, 2, 3))
    ledger.close()
    with duckdb.connect(str(file)) as db:
        db.execute("DROP TABLE segments")
        db.execute("UPDATE about SET schema = 3")
    ledger = opened(file)
    count(ledger, numbered(4, 5, 6))
    assert [row for row, _, _ in shown(ledger)] == [1, 2, 3, 4, 5, 6]
    with ledger.writing() as writing:
        assert writing.db.execute("SELECT schema FROM about").fetchall() == [(SCHEMA,)]
    ledger.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.integers(1, 5)),
        st.tuples(st.just("archive"), st.integers(0, 3)),
        st.tuples(st.sampled_from((*PLACES, "archive:naming")), st.integers(1, 2)),
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
    shard = Shard(
        directory=tmp_path_factory.mktemp("shard"), at=NOON + 10 * HOUR, segment_rows=LEAST
    )
    for chunks, (what, number) in enumerate(happens, 1):
        said = numbered(*range(10 * chunks, 10 * chunks + number), hour=chunks % 3)
        if what == "count":
            shard.count(*said)
        elif what == "archive":
            shard.archived(before=NOON + number * HOUR)
        elif what == "restart":
            shard.reopen()
        else:
            shard.reached = Crash(what, nth=number)
            try:
                shard.count(*said)
                shard.archived(before=NOON + 3 * HOUR)
            except CrashedError:
                shard.reopen()
                shard.offset = shard.ledger.positions().get(PLACE, 0)
            shard.reached = Crash()
        with shard.archive.rows() as (db, rows):
            found = [
                row for (row,) in db.execute(f"SELECT row FROM {rows} ORDER BY row").fetchall()
            ]
        assert found == list(range(1, shard.ledger.row() + 1))
        assert shard.archive.damaged() == []
    shard.ledger.close()
