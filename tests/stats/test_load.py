"""The load facts: one per application and second, zeros too, again when late events come."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts import sketch
from midstage.contracts.load import LoadObserved
from midstage.contracts.requests import BILLED, Outcome, RequestCompleted
from midstage.contracts.topics import LOAD, USAGE
from midstage.contracts.units import Micros
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.model import Batch, Committed
from midstage.stats.stream.facts import Told, telling
from midstage.stats.stream.lines import Line, rows_of
from midstage.stats.stream.loads import CAUGHT_UP_EVERY, Edges, Loads, version_mark
from midstage.stats.views.gauges import Carried, Heard
from midstage.stats.views.load import MOST_APPS, WINDOW, Window, due, resumed
from midstage.stats.views.load import absorbed as with_seconds
from midstage.stats.views.seconds import Key, Second, near, seconds
from midstage.stats.views.shards import ALONE, Shard
from midstage.stats.views.units import MOST_UNITS

from .conftest import NOON, decided, request

TICK = timedelta(seconds=1)
SOON = timedelta(seconds=1.6)


def finished(
    at: datetime = NOON, *, app: str = "chat", ms: float = 100.0, ttft_ms: float | None = None
) -> Line:
    return Line(
        source="s",
        id="x",
        seq=0,
        time=at,
        fact=RequestCompleted(
            app=app,
            customer="acme",
            status=200,
            outcome=Outcome.OK,
            duration_ms=ms,
            ttft_ms=ttft_ms,
        ),
        units={"input_tokens": Micros(3_000_000)},
    )


def arrived(lines: Sequence[Line], *, now: datetime) -> dict[Key, Second]:
    rows = rows_of(lines, billed=BILLED)
    return seconds(rows, near(rows, now=now, within=WINDOW))


def absorbed(window: Window, lines: Sequence[Line], *, now: datetime) -> Window:
    return with_seconds(window, arrived(lines, now=now), now=now)


def written(
    window: Window,
    now: datetime,
    carrying: dict[str, Carried] | None = None,
    *,
    specified: Collection[str] = (),
) -> tuple[Window, list[LoadObserved]]:
    heard = Heard(edges=1, carrying=carrying)
    after, facts = due(window, now=now, heard=heard, specified=specified)
    return after, list(facts)


def test_a_second_is_written_once_it_is_over_and_settled() -> None:
    window = absorbed(Window(), [finished(), finished(NOON + timedelta(seconds=0.9))], now=NOON)
    window, early = written(window, NOON + timedelta(seconds=1.4))
    assert [fact for fact in early if fact.outcomes] == []
    window, facts = written(window, NOON + SOON)
    (fact,) = facts
    assert (fact.app, fact.second, fact.shard, fact.shards) == ("chat", NOON, 0, 1)
    assert fact.outcomes == {"ok": 2}
    assert fact.units == {"input_tokens": 6_000_000}
    assert sketch.count(fact.latency_ms) == 2
    assert sketch.count(fact.ttft_ms) == 0
    assert written(window, NOON + SOON)[1] == []


def test_made_up_names_do_not_push_out_the_applications_that_are_known() -> None:
    window = absorbed(Window(), [finished()], now=NOON)
    made_up = [finished(app=f"made-up-{number}") for number in range(MOST_APPS + 10)]
    window = absorbed(window, [*made_up, finished()], now=NOON)
    _, facts = written(window, NOON + SOON)
    assert len({fact.app for fact in facts}) == MOST_APPS
    (known,) = [fact for fact in facts if fact.app == "chat"]
    assert known.outcomes == {"ok": 2}


def test_an_application_without_requests_gives_zeros_while_edges_speak_of_it() -> None:
    _window, facts = written(Window(), NOON + SOON, {"chat": Carried(in_flight=4, pending=1)})
    (fact,) = facts
    assert fact.outcomes == {}
    assert (fact.in_flight, fact.pending) == (4, 1)


def test_an_application_that_edges_do_not_name_carries_nothing_and_silence_is_unknown() -> None:
    window = absorbed(Window(), [finished()], now=NOON)
    (spoken,) = written(window, NOON + SOON, {})[1]
    assert (spoken.in_flight, spoken.pending) == (0, 0)
    (silent,) = written(window, NOON + SOON, None)[1]
    assert (silent.in_flight, silent.pending) == (None, None)


def test_a_specified_application_without_a_request_carries_nothing_each_second() -> None:
    """Alive and empty is zero: so it can shrink; silence of the edges stays unknown."""
    window, seen = Window(), []
    for second in range(3):
        now = NOON + timedelta(seconds=second) + SOON
        carrying: dict[str, Carried] | None = {"ocr": Carried()} if second < 2 else None
        window, facts = written(window, now, carrying, specified={"chat"})
        seen += [
            (fact.second, fact.in_flight, fact.outcomes) for fact in facts if fact.app == "chat"
        ]
    assert seen == [
        (NOON, 0, {}),
        (NOON + TICK, 0, {}),
        (NOON + 2 * TICK, None, {}),
    ]


def test_made_up_names_do_not_push_out_a_specified_application() -> None:
    made_up = [finished(app=f"made-up-{number}") for number in range(MOST_APPS + 10)]
    window = absorbed(Window(), made_up, now=NOON)
    _, facts = written(window, NOON + SOON, {}, specified={"chat"})
    assert [fact.in_flight for fact in facts if fact.app == "chat"] == [0]


def test_a_late_event_writes_its_second_again_with_a_higher_revision() -> None:
    window = absorbed(Window(), [finished()], now=NOON)
    window, (first,) = written(window, NOON + SOON, {"chat": Carried(in_flight=7)})
    later = NOON + timedelta(seconds=30)
    window = absorbed(window, [finished()], now=later)
    window, facts = written(window, later)
    again = [fact for fact in facts if fact.second == NOON]
    assert [fact.outcomes for fact in again] == [{"ok": 2}]
    assert again[0].revision > first.revision
    assert again[0].in_flight == 7


def test_gauges_of_now_say_nothing_of_a_second_that_is_long_over() -> None:
    later = NOON + timedelta(seconds=30)
    window = absorbed(Window(), [finished()], now=later)
    facts = {
        fact.second: fact for fact in written(window, later, {"chat": Carried(in_flight=7)})[1]
    }
    assert facts[NOON].in_flight is None
    assert {fact.in_flight for second, fact in facts.items() if second != NOON} == {7}


def test_what_is_older_than_the_window_is_forgotten() -> None:
    window = absorbed(Window(), [finished()], now=NOON)
    window, _ = written(window, NOON + SOON)
    window, _ = written(window, NOON + timedelta(seconds=90))
    assert window.seconds == {}
    assert {second for _, second in window.written} == {NOON + timedelta(seconds=88)}


def test_the_newest_load_of_an_application_that_nobody_names_any_more_is_forgotten() -> None:
    loads = Loads(
        topic=LOAD,
        shard=ALONE,
        edges=Edges((), lag=lambda: None),
        window=absorbed(Window(), [finished(NOON)], now=NOON + SOON),
        version=1,
    )
    assert [fact.app for fact in loads.facts(NOON + SOON)] == ["chat"]
    assert [fact.app for fact in loads.recent()] == ["chat"]
    assert loads.facts(NOON + SOON + timedelta(minutes=11)) == ()
    assert loads.recent() == ()


@pytest.mark.parametrize(("waiting", "later"), [(0, 2 * TICK), (50_000, CAUGHT_UP_EVERY)])
def test_what_a_lagging_shard_finds_late_waits_for_its_end_or_some_seconds_and_its_mark_too(
    waiting: int, later: timedelta
) -> None:
    lags = [50_000]
    loads = Loads(
        topic=LOAD,
        shard=ALONE,
        edges=Edges((), lag=lambda: None),
        window=Window(),
        version=0,
        waiting=lambda: lags[0],
    )

    def counted(version: int) -> None:
        batch = Batch(rows=rows_of([finished()], billed=BILLED))
        loads.absorb(batch, Committed(version=version, row=version, at=NOON + SOON))

    def told(now: datetime) -> tuple[list[int], int]:
        due = loads.due(now)
        facts = [msgspec.json.decode(each.value)["data"] for each in due.outgoing]
        late = [fact["revision"] for fact in facts if fact["second"] == "2026-01-01T12:00:00Z"]
        return late, due.marks[version_mark(LOAD.name)]

    counted(1)
    assert told(NOON + SOON) == ([1], 1)
    counted(2)
    assert told(NOON + SOON + TICK) == ([], 1)
    lags[0] = waiting
    assert told(NOON + SOON + later) == ([2], 2)


def test_an_event_later_than_a_minute_changes_no_load() -> None:
    window = absorbed(Window(), [finished()], now=NOON + timedelta(seconds=61))
    assert window == Window()


def test_requests_in_parts_are_the_same_load() -> None:
    lines = [finished(), finished(ms=7.5)]
    live = absorbed(absorbed(Window(), lines[:1], now=NOON), lines[1:], now=NOON)
    assert (
        written(live, NOON + SOON)[1]
        == written(absorbed(Window(), lines, now=NOON + TICK), NOON + SOON)[1]
    )


def test_after_a_restart_nothing_that_was_written_is_written_again() -> None:
    """Only the late event's second, with a higher revision."""
    lines = [finished(), finished(NOON + TICK)]
    window, facts = written(absorbed(Window(), lines, now=NOON), NOON + SOON + TICK)
    assert [fact.second for fact in facts] == [NOON, NOON + TICK]
    restarted = resumed(
        arrived(lines, now=NOON + 3 * TICK),
        written_until=window.written_until,
        now=NOON + 3 * TICK,
    )
    restarted, again = written(restarted, NOON + SOON + TICK)
    assert again == []
    late = absorbed(restarted, [finished()], now=NOON + 3 * TICK)
    (fact,) = written(late, NOON + SOON + TICK)[1]
    assert (fact.second, fact.revision, fact.outcomes) == (NOON, 2, {"ok": 2})


def test_the_second_in_which_the_minute_begins_is_whole_after_a_restart(tmp_path: Path) -> None:
    now = [NOON + SOON]
    ledger = DuckdbLedger(tmp_path / "usage.duckdb", now=lambda: now[0], memory_mb=128)

    def told_of(*numbers: int) -> list[int]:
        """A new process counts these and tells; the revisions of the second that it writes."""
        told = Told(load=LOAD, usage=USAGE, shard=ALONE)
        heard, _ = telling(ledger, books=ledger.facts(), sources=(), told=told, now=lambda: now[0])
        said = [request("edges/e/a", n, time=NOON + n * TICK / 12) for n in numbers]
        heard.commit(decided(ledger, said), begins={}, ends={})
        heard.tell()
        waiting = ledger.unsent(100)
        ledger.sent(waiting[-1][0])
        facts = [msgspec.json.decode(each.value)["data"] for _, each in waiting]
        return [fact["revision"] for fact in facts if fact.get("second") == "2026-01-01T12:00:00Z"]

    assert told_of(*range(11)) == [11]
    now[0] = NOON + WINDOW + TICK / 2
    assert told_of(11) == [12]
    ledger.close()


def test_units_beyond_64_bits_are_exact_and_made_up_names_have_no_room() -> None:
    line = finished()
    large = [msgspec.structs.replace(line, units={"t": Micros(10**18)}) for _ in range(20)]
    (fact,) = written(absorbed(Window(), large, now=NOON), NOON + SOON)[1]
    assert fact.units == {"t": 20 * 10**18}
    many = [
        msgspec.structs.replace(line, units={f"u{number:04}": Micros(2)}) for number in range(500)
    ]
    (fact,) = written(absorbed(Window(), many, now=NOON), NOON + SOON)[1]
    assert len(fact.units) == MOST_UNITS
    assert sum(fact.units.values()) == 1000


def test_a_fact_names_its_shard_and_how_many_edges_speak_through_it() -> None:
    window = absorbed(Window(), [finished()], now=NOON)
    heard = Heard(edges=0, complete_until=NOON)
    _, (fact,) = due(window, now=NOON + SOON, heard=heard, shard=Shard(number=1, of=3))
    assert (fact.shard, fact.shards, fact.edges) == (1, 3, 0)
    assert (fact.in_flight, fact.complete_until) == (None, NOON)
    assert fact.latency_ms.packed


def test_the_name_of_a_fact_is_of_one_revision_of_one_shard() -> None:
    loads = Loads(
        topic=LOAD,
        shard=Shard(number=1, of=3),
        edges=Edges((), lag=lambda: None),
        window=absorbed(Window(), [finished(), finished()], now=NOON + SOON),
        version=1,
    )
    (sent,) = loads.due(NOON + SOON).outgoing
    said = msgspec.json.decode(sent.value)
    assert said["id"] == "chat/2026-01-01T12:00:00+00:00/1-3/2"
    assert (said["source"], said["subject"], said["time"]) == (
        "stats/1",
        "chat",
        "2026-01-01T12:00:00Z",
    )


def test_both_sketches_of_ten_thousand_requests_are_small_on_the_wire() -> None:
    ms = np.random.default_rng(1).lognormal(5, 1, 10_000).tolist()
    lines = [finished(ms=one, ttft_ms=one / 3) for one in ms]
    (fact,) = written(absorbed(Window(), lines, now=NOON), NOON + SOON)[1]
    for held in (fact.latency_ms, fact.ttft_ms):
        assert sketch.count(held) == 10_000
        assert len(msgspec.json.encode(held)) <= 400


def test_an_event_that_is_nearly_a_minute_late_adds_to_what_was_written() -> None:
    window, _ = written(absorbed(Window(), [finished(), finished()], now=NOON), NOON + SOON)
    for second in range(2, 60):
        window, _ = written(window, NOON + second * TICK + SOON / 2)
    late = NOON + WINDOW - TICK / 2
    (fact,) = (
        fact
        for fact in written(absorbed(window, [finished()], now=late), late)[1]
        if fact.second == NOON
    )
    assert (fact.revision, fact.outcomes) == (3, {"ok": 3})


def test_an_application_is_forgotten_when_nothing_was_heard_of_it_for_ten_minutes() -> None:
    window = absorbed(Window(), [finished()], now=NOON)
    window, _ = written(window, NOON + SOON)
    assert written(window, NOON + timedelta(minutes=9))[1] != []
    assert written(window, NOON + timedelta(minutes=11))[1] == []


@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 9_000)), max_size=40),
    st.integers(min_value=1, max_value=5),
)
def test_the_newest_revisions_add_up_to_every_request(
    events: list[tuple[int, int]], size: int
) -> None:
    """Each event ends at some ms and arrives up to 9 s later; ticks come each second."""
    arrivals = sorted((end + delay, end) for end, delay in events)
    window, newest = Window(), dict[datetime, LoadObserved]()
    for tick in range(0, 40_000, 1000 * size):
        now = NOON + timedelta(milliseconds=tick)
        due_now = [end for at, end in arrivals if tick - 1000 * size <= at < tick]
        window = absorbed(
            window, [finished(NOON + timedelta(milliseconds=end)) for end in due_now], now=now
        )
        window, facts = written(window, now)
        for fact in facts:
            held = newest.get(fact.second)
            assert held is None or fact.revision > held.revision
            newest[fact.second] = fact
    assert sum(fact.outcomes.get("ok", 0) for fact in newest.values()) == len(events)
