"""What is there, what is missing and since when; and that each gap is put down once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.billing import GapReason, UsageGap, UsageGapClosed
from midstage.contracts.errors import RefusedError
from midstage.stats.decide.completeness import (
    Declared,
    Look,
    decide,
    evolve,
    looked,
    watched,
    without,
)
from midstage.stats.decide.told import Counted, told
from midstage.stats.model import Beat, Closing, Ranges, Source, Span
from midstage.stats.views import completeness as views
from midstage.stats.views.completeness import (
    CompletenessAnswer,
    CompletenessQuery,
    State,
    answer,
    merged,
)

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)

GRACE = timedelta(minutes=10)
HOUR = timedelta(hours=1)
NAME = "edges/edge-1/a"


def source(
    *spans: Span,
    name: str = NAME,
    edge: str = "edge-1",
    highest: int | None = None,
    at: datetime = NOON + 3 * HOUR,
    until: datetime | None = None,
    closed: bool = False,
) -> Source:
    highest = spans[-1][1] if highest is None else highest
    return Source(
        name=name,
        edge=edge,
        seen=Ranges(spans),
        beat=Beat(at=at, highest=highest, complete_until=until or at, newest=True, gauges=None),
        closing=Closing(at=at, highest=highest, torn=0) if closed else None,
    )


def hour(after: int, rows: int, first: int, last: int, *, name: str = NAME) -> Counted:
    return Counted(source=name, hour=NOON + after * HOUR, rows=rows, first_seq=first, last_seq=last)


def seen(
    *sources: Source, hours: Sequence[Counted], now: datetime = NOON + 3 * HOUR
) -> CompletenessAnswer:
    held = told(sources, hours, now=now, grace=GRACE)
    query = CompletenessQuery(source=None, since=NOON, until=NOON + 6 * HOUR)
    return answer(query, held, hours)


def states(found: CompletenessAnswer) -> dict[int, str]:
    return {(line.hour - NOON) // HOUR: line.state.value for line in found.hours}


def test_a_hole_belongs_to_the_hours_between_its_neighbours_and_to_no_other() -> None:
    hours = [hour(0, 10, 1, 10), hour(1, 5, 11, 15), hour(2, 9, 19, 30), hour(2, 1, 31, 31)]
    found = seen(source((1, 15), (19, 31)), hours=hours)
    assert states(found) == {0: "complete", 1: "missing", 2: "missing"}
    assert [(line.rows, line.missing, line.holes) for line in found.hours] == [
        (10, 0, ()),
        (5, 3, ((16, 18),)),
        (10, 3, ((16, 18),)),
    ]
    assert not found.complete


def test_what_an_edge_has_not_said_yet_is_open_and_what_it_said_is_complete() -> None:
    until = NOON + 2 * HOUR + timedelta(minutes=5)
    hours = [hour(0, 10, 1, 10), hour(2, 3, 11, 13)]
    found = seen(source((1, 13), at=until), hours=hours, now=until)
    assert states(found) == {0: "complete", 1: "complete", 2: "open"}


def test_a_closed_file_is_complete_to_its_end_and_says_nothing_of_later_hours() -> None:
    found = seen(
        source((1, 10), at=NOON + HOUR, closed=True),
        hours=[hour(0, 10, 1, 10)],
        now=NOON + 5 * HOUR,
    )
    assert states(found) == {0: "complete"}
    assert found.complete


def test_numbers_that_a_heartbeat_named_and_nobody_saw_are_missing_up_to_its_time() -> None:
    found = seen(source((1, 10), highest=12, at=NOON + HOUR), hours=[hour(0, 10, 1, 10)])
    assert states(found)[0] == "missing"


def test_numbers_before_the_first_that_is_known_may_be_of_the_day_before() -> None:
    (one,) = told([source((5, 10))], [hour(0, 6, 5, 10)], now=NOON + 3 * HOUR, grace=GRACE)
    assert [(hole.first, hole.last, hole.after, hole.before) for hole in one.holes] == [
        (1, 4, NOON - 24 * HOUR, NOON + HOUR)
    ]


def test_numbers_that_only_the_end_of_a_file_names_may_have_come_up_to_it() -> None:
    ended = replace(
        source((1, 10), at=NOON + HOUR),
        closing=Closing(at=NOON + 3 * HOUR, highest=12, torn=0),
    )
    (one,) = told([ended], [hour(0, 10, 1, 10)], now=NOON + 4 * HOUR, grace=GRACE)
    assert [(hole.first, hole.last, hole.before) for hole in one.holes] == [
        (11, 12, NOON + 3 * HOUR)
    ]


def test_a_silent_source_is_no_longer_waited_for_unless_its_edge_speaks_through_another() -> None:
    silent = source((1, 10), at=NOON + timedelta(minutes=30))
    hours = [hour(0, 10, 1, 10)]
    (alone,) = told([silent], hours, now=NOON + HOUR, grace=GRACE)
    assert alone.silent
    assert states(seen(silent, hours=hours)) == {0: "silent"}
    assert not seen(silent, hours=hours).complete
    successor = source((1, 1), name="edges/edge-1/b", at=NOON + HOUR)
    followed, _ = told([silent, successor], hours, now=NOON + HOUR, grace=GRACE)
    assert not followed.silent
    stranger = source((1, 1), name="edges/edge-2/a", edge="edge-2", at=NOON + HOUR)
    still, _ = told([silent, stranger], hours, now=NOON + HOUR, grace=GRACE)
    assert still.silent


def test_a_source_without_numbers_has_rows_and_proves_nothing() -> None:
    found = seen(hours=[hour(0, 4, 0, 0, name="jobs")])
    assert [(line.source, line.rows, line.state) for line in found.hours] == [
        ("jobs", 4, State.UNPROVED)
    ]


def test_an_answer_has_all_hours_of_the_time_and_source_asked_for_or_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first numbers are missing, and may be of any hour of the day before."""
    hours = [hour(0, 6, 5, 10), hour(0, 1, 0, 0, name="jobs"), hour(6, 1, 0, 0, name="jobs")]
    hours += [hour(0, 1, 1, 1, name="edges/edge-2/a")]
    held = told(
        [source((5, 10)), source((1, 1), name="edges/edge-2/a", edge="edge-2")],
        hours,
        now=NOON + 3 * HOUR,
        grace=GRACE,
    )
    query = CompletenessQuery(source=NAME, since=NOON - 24 * HOUR, until=NOON + 6 * HOUR)
    found = answer(query, held, hours)
    assert {line.source for line in found.hours} == {NAME}
    assert states(found) == {
        **dict.fromkeys(range(-24, 1), "missing"),
        **dict.fromkeys((1, 2), "complete"),
    }
    of_all = answer(replace(query, source=None), held, hours)
    jobs = [(line.hour, line.state) for line in of_all.hours if line.source == "jobs"]
    assert jobs == [(NOON, State.UNPROVED)]
    monkeypatch.setattr(views, "MOST_LINES", 26)
    with pytest.raises(RefusedError, match="more than 26 hours"):
        answer(query, held, hours)


def test_answers_of_shards_add_up_and_one_that_is_not_complete_makes_the_whole_so() -> None:
    one = seen(source((1, 10), closed=True, at=NOON + HOUR), hours=[hour(0, 10, 1, 10)])
    other = seen(
        source((2, 3), name="edges/edge-2/a", edge="edge-2"),
        hours=[hour(1, 2, 2, 3, name="edges/edge-2/a")],
    )
    both = merged([other, one])
    assert not both.complete
    assert {line.source for line in both.hours} == {NAME, "edges/edge-2/a"}
    assert [line.source for line in both.hours] == sorted(line.source for line in both.hours)


def test_a_gap_is_put_down_after_its_grace_once_and_closed_when_it_fills() -> None:
    log = Log()
    log.look(source((1, 15), (19, 31)), at=NOON)
    assert log.facts == []
    log.look(source((1, 15), (19, 31)), at=NOON + GRACE)
    log.look(source((1, 15), (19, 31)), at=NOON + 2 * GRACE)
    assert [(fact.first, fact.last) for fact in log.facts] == [(16, 18)]
    log.forgets()  # a restart: what was declared is in the log
    log.look(source((1, 15), (19, 31)), at=NOON + 3 * GRACE)
    log.look(source((1, 15), (19, 31)), at=NOON + 5 * GRACE)
    assert len(log.facts) == 1
    log.look(source((1, 15), (17, 17), (19, 31)), at=NOON + 5 * GRACE)
    log.look(
        source(
            (1, 31),
        ),
        at=NOON + 5 * GRACE,
    )
    log.look(
        source(
            (1, 31),
        ),
        at=NOON + 6 * GRACE,
    )
    closed = [fact for fact in log.facts if isinstance(fact, UsageGapClosed)]
    assert sorted((fact.first, fact.last) for fact in closed) == [(16, 16), (17, 17), (18, 18)]
    assert log.declared == Declared()


def test_what_is_left_of_a_hole_is_as_old_as_the_hole() -> None:
    log = Log()
    log.look(source((1, 15), (19, 31)), at=NOON)
    log.look(source((1, 15), (17, 17), (19, 31)), at=NOON + GRACE / 2)
    assert log.facts == []
    log.look(source((1, 15), (17, 17), (19, 31)), at=NOON + GRACE)
    assert [(fact.first, fact.last) for fact in log.facts] == [(16, 16), (18, 18)]


def test_silence_is_declared_once_and_taken_back_when_the_source_speaks() -> None:
    log = Log()
    quiet = source((1, 10), at=NOON)
    for minutes in (5, 11, 12, 40):
        log.look(quiet, at=NOON + timedelta(minutes=minutes))
    assert [(fact.reason, fact.first, fact.last) for fact in log.facts] == [
        (GapReason.SILENT, 11, None)
    ]
    log.look(source((1, 12), at=NOON + HOUR), at=NOON + HOUR)
    assert isinstance(log.facts[-1], UsageGapClosed)
    assert log.declared == Declared()


def test_silence_and_holes_of_one_source_are_each_said_once_whichever_comes_first() -> None:
    quiet = source((1, 15), (19, 31), at=NOON)
    for first in (NOON, NOON + GRACE + timedelta(minutes=1)):
        log = Log(shard=3)
        for look in range(5):
            log.look(quiet, at=first + look * GRACE)
        gaps = [fact for fact in log.facts if isinstance(fact, UsageGap)]
        assert {(fact.reason, fact.first, fact.last, fact.shard) for fact in gaps} == {
            (GapReason.HOLE, 16, 18, 3),
            (GapReason.SILENT, 32, None, 3),
        }
        assert len(log.facts) == 2
        filled, speaking = log.copied(), log.copied()
        filled.look(source((1, 31), at=NOON), at=first + 5 * GRACE)
        assert (filled.declared, len(filled.facts)) == (Declared(silent=32), 3)
        at = first + 5 * GRACE
        speaking.look(source((1, 15), (19, 31), at=at), at=at)
        assert (speaking.declared, len(speaking.facts)) == (Declared(holes=((16, 18),)), 3)


numbers = st.sets(st.integers(1, 40), min_size=1, max_size=30)


@given(st.lists(numbers, min_size=1, max_size=6), st.lists(st.integers(0, 12), max_size=6))
def test_whatever_fills_when_and_whoever_restarts_the_log_says_what_is_missing(
    arrivals: list[set[int]], forgotten: list[int]
) -> None:
    """Each number is declared at most once while it is missing; in the end all that are are."""
    log, held = Log(), set[int]()
    for turn, more in enumerate(arrivals):
        held |= more
        if turn in forgotten:
            log.forgets()
        state = source(*spans(held), highest=40, at=NOON)
        for step in (0, 1):  # looked at before and after the grace
            log.look(state, at=NOON + (2 * turn + step) * GRACE, silent=False)
        missing = set(range(1, 41)) - held
        said = [n for first, last in log.declared.holes for n in range(first, last + 1)]
        assert len(said) == len(set(said))
        assert set(said) == missing


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), max_size=5), numbers)
def test_without_takes_out_exactly_those(pairs: list[tuple[int, int]], held: set[int]) -> None:
    taken = [(min(pair), max(pair)) for pair in pairs]
    left = without(spans(held), taken)
    gone = {n for first, last in taken for n in range(first, last + 1)}
    assert {n for first, last in left for n in range(first, last + 1)} == held - gone


class Log:
    """What stands in the log of one source, and the process that looks."""

    def __init__(self, *, shard: int = 0) -> None:
        self.facts: list[UsageGap | UsageGapClosed] = []
        self._shard = shard
        self.declared = Declared()
        self._watch: dict[str, tuple[tuple[Span, datetime], ...]] = {}

    def look(self, state: Source, *, at: datetime, silent: bool = True) -> None:
        hours = [hour(0, 1, 1, state.seen.most)]
        held = told([state], hours, now=at if silent else NOON, grace=GRACE)
        self._watch = watched(self._watch, held, now=at)
        for look in looked(held, self._watch, shard=self._shard, now=at, grace=GRACE):
            self._decided(look)

    def copied(self) -> "Log":
        other = Log(shard=self._shard)
        other.facts, other.declared, other._watch = [*self.facts], self.declared, self._watch
        return other

    def forgets(self) -> None:
        self._watch = {}

    def _decided(self, look: Look) -> None:
        for fact in decide(self.declared, look):
            self.declared = evolve(self.declared, fact)
            self.facts.append(fact)


def spans(numbers: set[int]) -> tuple[Span, ...]:
    found: list[Span] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)
