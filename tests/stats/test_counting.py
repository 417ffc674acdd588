"""Counting from the log: redelivered, resent, crashed, restarted, cut off, and still exact."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from midstage.contracts.requests import Outcome
from midstage.eventlog.codec import message
from midstage.eventlog.failpoint import nothing
from midstage.eventlog.log import Message, Partition
from midstage.eventlog.memory import MemoryLog
from midstage.stats.model import Batch, Committed, Source
from midstage.stats.views.rows import RowsQuery
from midstage.testkit.waiting import within

from .asking import total
from .conftest import DEADLINE_S, NOON, Bench, request, running
from .swapped import Swapped

PLACES = ("consume:decoded", "ledger:inserted", "ledger:committed", "consume:effect-done")


class CrashError(Exception):
    """The process dies here."""


@dataclass
class Crashing:
    """A failpoint that crashes once, at the ``nth`` time that ``place`` is reached."""

    place: str
    nth: int = 1

    def __call__(self, place: str) -> None:
        if place == self.place:
            self.nth -= 1
            if self.nth == 0:
                raise CrashError(place)


def counted(bench: Bench) -> tuple[int, Mapping[str, int], Mapping[str, int]]:
    """Rows, requests by outcome and micro-units of a stats that has read everything."""
    books = bench.caught_up().ledger.queries()
    summed = total(books)
    return len(books.rows(RowsQuery(limit=10_000)).requests), summed.outcomes, summed.micros


def died(bench: Bench) -> BaseException:
    """What ended a stats by itself; one that is stopped once all is read may not come there."""
    bench.stop()
    with running(bench.start()) as raised:
        return within(DEADLINE_S, lambda: raised)[0]


def holes(bench: Bench) -> dict[str, tuple[tuple[int, int], ...]]:
    books = bench.caught_up().ledger.queries()
    return {source.name: source.holes for source in books.sources()}


def test_each_line_counts_once_although_it_was_sent_twice(bench: Bench) -> None:
    lines = [bench.edge().line(seq) for seq in (1, 2, 3)]
    bench.write(*lines)
    assert counted(bench)[0] == 3
    bench.write(*lines, bench.edge().line(4))
    rows, outcomes, micros = counted(bench)
    assert rows == 4
    assert outcomes == {"ok": 4}
    assert micros == {"requests": 4_000_000, "input_tokens": 12_000_000}


def test_the_settings_say_which_outcomes_are_billed(bench: Bench) -> None:
    bench.billed = frozenset({Outcome.ERROR})
    failed = bench.edge().line(2, outcome=Outcome.ERROR, status=500, usage={"images": 2})
    bench.write(bench.edge().line(1), failed)
    assert counted(bench)[2] == {"images": 2_000_000}


@pytest.mark.parametrize("place", PLACES)
def test_a_crash_at_any_place_loses_and_doubles_nothing(bench: Bench, place: str) -> None:
    bench.write(*(bench.edge().line(seq) for seq in (1, 2, 3)))
    bench.reached = Crashing(place)
    with pytest.raises(CrashError, match=place):
        raise died(bench)
    rows, outcomes, _ = counted(bench)
    assert (rows, outcomes) == (3, {"ok": 3})


def test_a_hole_has_a_name_until_it_is_filled(bench: Bench) -> None:
    edge = bench.edge()
    bench.write(edge.line(1), edge.line(4), edge.closed(5))
    assert holes(bench) == {edge.source: ((2, 3), (5, 5))}
    bench.write(edge.line(3), edge.line(2), edge.line(5))
    assert holes(bench) == {edge.source: ()}


def test_what_is_forged_foreign_or_broken_is_put_aside_and_the_true_row_counts(
    bench: Bench,
) -> None:
    edge = bench.edge()
    forged = replace(edge, key=bytes(32)).line(1, customer="thief")
    broken = structs.replace(edge.line(None), value=b"\xff{", headers=())
    huge = structs.replace(broken, value=b"x" * (2 * 1024 * 1024))
    foreign = structs.replace(edge.beat(1), topic=bench.topics.requests.name)
    bench.write(forged, broken, huge, foreign, edge.line(1), edge.line(2))
    rows, _, _ = counted(bench)
    assert rows == 2
    dead = bench.dead(bench.topics.requests)
    assert {letter.value for letter in dead} == {
        one.value for one in (forged, broken, huge, foreign)
    }
    assert holes(bench) == {edge.source: ()}


def test_dead_letters_alone_move_the_position(bench: Bench) -> None:
    bench.write(structs.replace(bench.edge().line(1), value=b"?"))
    assert counted(bench)[0] == 0
    assert counted(bench)[0] == 0
    assert len(bench.dead(bench.topics.requests)) == 1


def test_a_broker_that_goes_away_and_comes_back_loses_nothing(bench: Bench) -> None:
    assert isinstance(bench.log, MemoryLog)
    bench.write(bench.edge().line(1))
    service = bench.start()
    with running(service):
        within(DEADLINE_S, lambda: service.ledger.queries().recorded(since=NOON).rows == 1)
        bench.log.cut()
        within(DEADLINE_S, service.consumer.progress)
        bench.log.mend()
        bench.write(bench.edge().line(2))
        within(DEADLINE_S, lambda: service.ledger.queries().recorded(since=NOON).rows == 2)
        within(DEADLINE_S, lambda: service.consumer.progress() is None)


class WithoutRanges(Swapped):
    """It forgets which numbers it has."""

    def sources(self, names: frozenset[str]) -> Mapping[str, Source]:
        return self.inner.sources(frozenset())


class PositionsFirst(Swapped):
    """Its positions are durable before the rows are."""

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        self.inner.commit(Batch(), begins=begins, ends=ends)
        return self.inner.commit(batch, begins={}, ends=ends)


def test_negative_control_without_ranges_a_resent_line_counts_twice(bench: Bench) -> None:
    bench.swapped = WithoutRanges
    bench.write(*(bench.edge().line(seq) for seq in (1, 2, 3)))
    assert counted(bench)[0] == 3
    bench.write(bench.edge().line(3))
    assert counted(bench)[0] == 4


def test_negative_control_with_positions_before_effects_a_crash_loses_rows(bench: Bench) -> None:
    bench.swapped = PositionsFirst
    bench.write(*(bench.edge().line(seq) for seq in (1, 2, 3)))
    bench.reached = Crashing("ledger:committed")
    with pytest.raises(CrashError):
        raise died(bench)
    assert counted(bench)[0] < 3


def test_the_same_stories_hold_where_nothing_is_swapped(bench: Bench) -> None:
    bench.write(*(bench.edge().line(seq) for seq in (1, 2, 3)))
    bench.reached = Crashing("ledger:committed")
    with pytest.raises(CrashError):
        raise died(bench)
    bench.write(bench.edge().line(3))
    assert counted(bench)[0] == 3


sendings = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(min_value=1, max_value=9)), max_size=40
)
unnumbered = st.lists(st.sampled_from("uvw"), max_size=6)
crashes = st.lists(
    st.tuples(st.sampled_from(PLACES), st.integers(min_value=1, max_value=3)), max_size=4
)


@pytest.mark.slow
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sent=sendings, loose=unnumbered, cuts=st.integers(1, 4), places=crashes)
def test_any_order_repeats_and_crashes_agree_with_an_independent_counter(
    benches: Callable[[], Bench],
    sent: Sequence[tuple[str, int]],
    loose: Sequence[str],
    cuts: int,
    places: Sequence[tuple[str, int]],
) -> None:
    bench = benches()
    messages = [bench.edge(file=file).line(seq, **said(seq)) for file, seq in sent]
    messages += [stray(bench, name) for name in loose]
    failpoints = iter([Crashing(place, nth) for place, nth in places])
    size = len(messages) // cuts + 1
    for at in range(0, len(messages) + 1, size):
        bench.write(*messages[at : at + size])
        survive(bench, failpoints)
    rows, _, micros = counted(bench)
    once: dict[object, int] = {key: key[1] for key in sent}
    once |= dict.fromkeys(loose, 3)
    assert rows == len(once)
    assert micros.get("input_tokens", 0) == 1_000_000 * sum(once.values())
    seen: dict[str, set[int]] = {}
    for file, seq in sent:
        seen.setdefault(bench.edge(file=file).source, set()).add(seq)
    missing = {
        source: {n for first, last in spans for n in range(first, last + 1)}
        for source, spans in holes(bench).items()
    }
    assert missing == {
        source: set(range(1, max(numbers) + 1)) - numbers for source, numbers in seen.items()
    }
    bench.stop()


def survive(bench: Bench, failpoints: Iterator[Crashing]) -> None:
    """Run until everything is read, through the next crash if there is one."""
    bench.reached = next(failpoints, nothing)
    with suppress(CrashError):
        bench.caught_up()
    bench.reached = nothing
    bench.caught_up()


def said(seq: int) -> dict[str, object]:
    return {"usage": {"input_tokens": seq}}


def stray(bench: Bench, name: str) -> Message:
    return message(
        request("jobs", None, event_id=name), topic=bench.topics.requests.name, key="jobs"
    )
