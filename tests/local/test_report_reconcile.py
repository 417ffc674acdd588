"""Reconciling over stats' own routes: when the ledger is taken for complete, and what is read."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from midstage.chassis.audited import Audit
from midstage.contracts.load import LoadObserved
from midstage.contracts.requests import Outcome
from midstage.eventlog.log import Log
from midstage.local.replay.findings import Hole, PlatformFacts, Report
from midstage.local.replay.listing import CallerRow, Listing
from midstage.local.replay.reconcile import Patience, Source, complete, reconcile
from midstage.local.replay.report import as_text
from midstage.stats.api import router
from midstage.stats.api.application import application
from midstage.stats.model import Beat, Ranges
from midstage.stats.model import Source as State
from midstage.stats.views.availability import AvailabilityQuery, Tally
from midstage.stats.views.rows import Row, RowsAnswer, RowsPage, RowsQuery, paged
from midstage.stats.views.status import Standing
from tests.serving import served

from .loop_facts import decided, log_of, pod

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
TOKEN = "secret"
USAGE = {"requests": 1, "input_tokens": 5, "output_tokens": 7}
SOURCE = "edges/edge-1/a"
IMPATIENT = Patience(settle_s=0.2, grace_s=0.5, quiet_s=0.8, look_every_s=0.02)


@dataclass(slots=True, kw_only=True)
class Shelf:
    """Books in memory; ``looked`` is called before each look at the sources."""

    kept: list[Row] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    looked: Callable[[], None] = lambda: None
    counted: list[Tally] = field(default_factory=list)
    asked: list[AvailabilityQuery] = field(default_factory=list)

    def tallies(self, query: AvailabilityQuery) -> Sequence[Tally]:
        self.asked.append(query)
        return self.counted

    def rows(self, query: RowsQuery, *, after: str) -> RowsAnswer:
        shards = {0, *(row.shard for row in self.kept)}
        return paged([partial(self._page, shard) for shard in sorted(shards)], query, after=after)

    def _page(self, shard: int, query: RowsQuery) -> RowsPage:
        kept = [row for row in self.kept if row.shard == shard and row.row > query.after]
        found = [row for row in kept if row.ref.startswith(query.ref_prefix)]
        page = tuple(found[: query.limit])
        return RowsPage(requests=page, next=page[-1].row if len(found) > len(page) else None)

    def sources(self) -> Sequence[State]:
        self.looked()
        return self.states

    def loads(self) -> Sequence[LoadObserved]:
        return ()

    def standings(self) -> Mapping[int, Standing | str]:
        return {}


def call(number: int) -> CallerRow:
    return CallerRow(
        ref=f"run-{number:07d}",
        customer="elm-insurance",
        app="chat",
        status=200,
        outcome=Outcome.OK,
        usage=USAGE,
        estimated=False,
        streamed=False,
        duration_ms=100.0,
        ttft_ms=None,
        late_ms=0.0,
        ended_at=NOON + timedelta(seconds=number),
    )


def row(of: CallerRow, number: int, *, shard: int = 0) -> Row:
    return Row(
        shard=shard,
        row=number,
        ref=of.ref,
        id=f"id-{number}",
        customer=of.customer,
        app=of.app,
        status=of.status,
        outcome=of.outcome,
        usage=of.usage,
        billed=True,
        estimated=False,
        source=SOURCE,
        seq=number,
        time=of.ended_at,
        duration_ms=99.0,
        queue_ms=None,
        ttft_ms=None,
        bytes_in=1,
        bytes_out=1,
        endpoint="/v1/chat/completions",
        revision="",
        labels={},
        cluster="",
        pod="",
        trace_id="",
        recorded_ms_after=250.0,
    )


def state(numbers: int, *, until: datetime, highest: int | None = None) -> State:
    most = numbers if highest is None else highest
    return State(
        name=SOURCE,
        edge="edge-1",
        seen=Ranges(spans=((1, numbers),)),
        beat=Beat(at=until, highest=most, complete_until=until, newest=True, gauges=None),
        complete_until=until,
    )


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def stats(shelf: Shelf) -> Iterator[str]:
    """The routes of stats over ``shelf``, on a real port, for who has the token."""
    audit = Audit(service="stats", note=lambda _: None, now=lambda: NOON)
    routes = router(shelf, customers=dict, audit=audit, promises=dict, now=lambda: NOON)
    app = application(
        service="stats",
        version="1",
        token=TOKEN,
        routes=[routes],
        registry=CollectorRegistry(),
        progress=lambda: None,
    )
    with served(app) as url:
        yield url


def reconciled(
    mine: Sequence[CallerRow],
    stats: str,
    directory: Path,
    patience: Patience = IMPATIENT,
    log: Log | None = None,
) -> Report:
    with Listing(directory / "list.jsonl") as listing:
        for one in mine:
            listing.add(one)
    return reconcile(
        list_file=directory / "list.jsonl",
        run="run",
        stats_url=stats,
        token=TOKEN,
        platform=PlatformFacts(),
        patience=patience,
        report_file=directory / "report.json",
        plot_file=directory / "plot.svg",
        app="chat",
        log=log,
    )


def test_all_pages_of_this_run_are_read_and_agree(shelf: Shelf, stats: str, tmp_path: Path) -> None:
    mine = [call(number) for number in range(1, 2501)]
    shelf.kept = [row(one, number) for number, one in enumerate(mine, 1)]
    shelf.kept.append(replace(shelf.kept[0], row=2501, ref="run2-0000001"))
    shelf.states = [state(2501, until=NOON + timedelta(hours=1))]
    report = reconciled(mine, stats, tmp_path)
    assert (report.ledger, report.agrees, report.found.notes) == (2500, True, ())
    assert report.freshness_ms.p99 == 250.0
    told = msgspec.json.decode((tmp_path / "report.json").read_bytes())
    assert (told["ledger"], told["complete"]) == (2500, True)


def test_rows_of_several_shards_are_read_each_once(
    shelf: Shelf, stats: str, tmp_path: Path
) -> None:
    """Each shard numbers its rows by itself, and pages go on behind each of them."""
    mine = [call(number) for number in range(1, 2501)]
    shelf.kept = [row(one, 1 + n // 3, shard=n % 3) for n, one in enumerate(mine)]
    shelf.states = [state(2500, until=NOON + timedelta(hours=1))]
    report = reconciled(mine, stats, tmp_path)
    assert (report.ledger, report.agrees, report.duplicated) == (2500, True, ())


def test_a_report_of_the_closed_loop_has_decisions_availability_and_its_picture(
    shelf: Shelf, stats: str, tmp_path: Path
) -> None:
    mine = [call(number) for number in range(1, 101)]
    shelf.kept = [row(one, number) for number, one in enumerate(mine, 1)]
    shelf.states = [state(100, until=NOON + timedelta(hours=1))]
    shelf.counted = [Tally(app="chat", good=98, errors=2)]
    log = log_of([decided(20, 1, 2)], [pod(-9, "a", version=1), pod(25, "b", version=1)])
    report = reconciled(mine, stats, tmp_path, log=log)
    assert (report.agrees, report.circle.notes) == (True, ())
    told = msgspec.json.decode((tmp_path / "report.json").read_bytes())
    assert (told["scale_ups"], told["decision_to_ready_ms"]["p50"]) == (1, 5000.0)
    assert told["availability"]["chat"]["availability"] == 0.98
    assert told["availability"]["chat"]["budget"]["left"] == pytest.approx(-1.9)
    (asked,) = shelf.asked
    assert (asked.since, asked.until) == (NOON, NOON + timedelta(minutes=2))
    for picture in ("report.svg", "plot.svg"):
        assert b"1\xe2\x86\x922" in (tmp_path / picture).read_bytes()


@pytest.mark.slow
def test_a_log_and_stats_that_do_not_answer_are_said_and_the_report_comes(tmp_path: Path) -> None:
    log = log_of([], [])
    log.cut()
    report = reconciled([call(1)], "http://127.0.0.1:1", tmp_path, log=log)
    first, second = report.circle.notes
    assert "decisions and replicas could not be read from the log: the broker is away" in first
    assert "stats did not tell the availability" in second
    assert (report.circle.decisions, report.circle.scale_ups) == (None, None)
    assert first in as_text(report)


def test_rows_that_come_late_are_waited_for(shelf: Shelf, stats: str, tmp_path: Path) -> None:
    mine = [call(number) for number in range(1, 11)]
    shelf.states = [state(1, until=NOON)]

    def one_more() -> None:
        count = len(shelf.kept)
        if count < len(mine):
            shelf.kept.append(row(mine[count], count + 1))
        elif shelf.states[0].complete_until == NOON:
            shelf.states = [state(10, until=NOON + timedelta(seconds=20))]

    shelf.looked = one_more
    report = reconciled(mine, stats, tmp_path)
    assert (report.ledger, report.agrees, report.found.complete) == (10, True, True)


def test_a_row_that_comes_again_after_the_last_one_is_still_seen(
    shelf: Shelf, stats: str, tmp_path: Path
) -> None:
    shelf.states = [state(1, until=NOON + timedelta(seconds=20))]
    shelf.kept = [row(call(1), 1)]
    looks = itertools.count(1)

    def again_at_the_second_look() -> None:  # there is one, however late it comes
        if next(looks) == 2:
            shelf.kept.append(row(call(1), 2))

    shelf.looked = again_at_the_second_look
    assert [twice.ref for twice in reconciled([call(1)], stats, tmp_path).duplicated] == [
        "run-0000001"
    ]


@pytest.mark.slow
def test_a_row_that_a_complete_ledger_lacks_is_waited_for_longer_than_one_that_comes_again(
    shelf: Shelf, stats: str, tmp_path: Path
) -> None:
    shelf.states = [state(2, until=NOON + timedelta(seconds=20))]
    shelf.kept = [row(call(1), 1)]
    begun = time.monotonic()

    def late() -> None:
        if time.monotonic() - begun > 1.0 and len(shelf.kept) == 1:
            shelf.kept.append(row(call(2), 2))

    shelf.looked = late
    patience = replace(IMPATIENT, settle_s=0.1, grace_s=20.0)
    assert reconciled([call(1), call(2)], stats, tmp_path, patience).missing == ()


def test_a_complete_ledger_that_lacks_a_row_says_which(
    shelf: Shelf, stats: str, tmp_path: Path
) -> None:
    shelf.kept = [row(call(1), 1)]
    shelf.states = [state(1, until=NOON + timedelta(seconds=20))]
    report = reconciled([call(1), call(2)], stats, tmp_path)
    assert [one.ref for one in report.missing] == ["run-0000002"]
    assert report.found.complete


def test_a_ledger_that_stands_still_is_reported_as_incomplete_with_its_holes(
    shelf: Shelf, stats: str, tmp_path: Path
) -> None:
    shelf.kept = [row(call(1), 1)]
    shelf.states = [state(1, until=NOON + timedelta(seconds=20), highest=3)]
    report = reconciled([call(1), call(2)], stats, tmp_path)
    assert not report.found.complete
    assert "not known to be complete up to 12:00:02.5" in report.found.notes[-1]
    assert report.found.holes == (Hole(source=SOURCE, first=2, last=3),)


def test_stats_that_never_answers_is_said_and_everything_is_missing(tmp_path: Path) -> None:
    report = reconciled([call(1)], "http://127.0.0.1:1", tmp_path)
    assert (report.ledger, len(report.missing), report.agrees) == (0, 1, False)
    assert "stats was asked in vain" in report.found.notes[0]


BEGUN, UNTIL = NOON, NOON + timedelta(minutes=3)
LIVE = Source(source="a", highest=9, rows=9, holes=(), closed=False, complete_until=UNTIL)
CLOSED = Source(
    source="b", highest=4, rows=4, holes=(), closed=True, complete_until=NOON + timedelta(minutes=1)
)


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([], False),
        ([LIVE], True),
        ([LIVE, CLOSED], True),
        ([CLOSED], False),
        ([msgspec.structs.replace(LIVE, complete_until=UNTIL - timedelta(seconds=1))], False),
        ([LIVE, msgspec.structs.replace(LIVE, complete_until=None)], False),
        ([LIVE, msgspec.structs.replace(CLOSED, closed=False)], False),
        ([LIVE, msgspec.structs.replace(CLOSED, rows=3)], False),
        ([msgspec.structs.replace(LIVE, holes=((3, 3),))], False),
        (
            [
                LIVE,
                Source(
                    **{
                        **msgspec.structs.asdict(CLOSED),
                        "closed": False,
                        "rows": 2,
                        "complete_until": BEGUN - timedelta(days=1),
                    }
                ),
            ],
            True,
        ),
    ],
)
def test_complete_is_when_every_live_source_has_reported_and_lacks_nothing(
    sources: list[Source], expected: bool
) -> None:
    assert complete(sources, begun=BEGUN, until=UNTIL) is expected
