"""Weeks of load facts on a log: the floor stands before the rise, and outlives who made it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event as Stop
from typing import Final

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from midstage.contracts.fact import Event
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.contracts.policy import Measure, Policy, Targets
from midstage.contracts.scaling import EVALUATION_MADE, Evaluation, EvaluationMade
from midstage.eventlog.codec import message
from midstage.eventlog.memory import MemoryLog
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.metrics import Metrics
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.stream.folding import Folding, Topics
from midstage.hpa.stream.held import held
from midstage.hpa.stream.reading import Opening
from midstage.hpa.stream.remembering import Remembering, newest
from midstage.hpa.stream.replay import replayed
from midstage.hpa.views.world import Standing
from midstage.testkit.clock import FrozenClock
from tests.hpa.conftest import Others, created, records
from tests.hpa.engine import figures, policy, why
from tests.hpa.peaks import SLOT, foreseeing, slot_of

pytestmark = pytest.mark.slow
MORNING: Final = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
DAYS: Final = 8
BUSY: Final = 30
"""Slots of a morning that stats sees; at other times nobody speaks."""
RISE: Final = 16
TOP: Final = 400
WIRED: Final = msgspec.json.Decoder(Policy)
POLICY = WIRED.decode(
    msgspec.json.encode(foreseeing(targets=Targets(requests_per_s=10.0), max=100))
)
"""As deploy wrote it: 0 is 0.0 there."""


def carried(slot: int) -> int:
    """Requests a second in a slot of the morning: an hour of many in the end."""
    return TOP if RISE <= slot < RISE + 12 else 40


class Process:
    """An hpa, turned by hand: it folds, evaluates and remembers as the loop does."""

    def __init__(self, others: Others, clock: FrozenClock, *, name: str) -> None:
        self._others, self._clock = others, clock
        self._folding = Folding(others.names)
        opened = Opening(log=others.log, topics=others.names, now=clock.now).opened(
            self._folding, Stop()
        )
        assert opened is not None
        self._reader, _ = opened
        self._remembering = Remembering(
            log=others.log,
            topic=others.names.peaks.name,
            instance=name,
            now=clock.now,
            metrics=Metrics(CollectorRegistry()),
        )

    def turn(self) -> Evaluation:
        ends = self._others.log.ends(self._reader.positions())
        while any(self._reader.positions()[place] < end for place, end in ends.items()):
            for record in self._reader.poll(most=2000, timeout_s=1):
                self._folding.fold(record)
        standing = Standing(
            asked=Asked(policy=POLICY, initial=2),
            spec_version=1,
            scaler=Scaler(),
            scale_version=0,
        )
        world = self._folding.world
        made = evaluate(world.inputs("chat", standing, POLICY, self._clock.now()))
        made = msgspec.structs.replace(made, engine=ENGINE, offsets=self._folding.offsets())
        self._remembering.look("chat", POLICY, world)
        writer = self._remembering._writer  # minutes pass until the next turn: what it wrote stands
        assert writer is None or writer.flush(60) == 0
        return made

    def close(self) -> None:
        self._reader.close()
        self._remembering.close()


class Past:
    """A log whose clock is ours, what others write to it, and the hpa that runs."""

    def __init__(self) -> None:
        self.clock = FrozenClock(MORNING)
        log = MemoryLog(now_ms=lambda: int(self.clock.now().timestamp() * 1000))
        created(log, Topics())
        self.others = Others(log=log, names=Topics())
        self.others.specify("chat", POLICY, replicas=2)
        self.processes: list[Process] = []

    def begin(self, name: str = "one") -> Process:
        process = Process(self.others, self.clock, name=name)
        self.processes.append(process)
        return process

    def mornings(self, count: int, *, process: Process) -> None:
        for _ in range(count):
            for slot in range(BUSY):
                self.slot(carried(slot))
                process.turn()
            self.clock.advance(timedelta(days=1) - BUSY * SLOT)

    def slot(self, requests: int) -> None:
        """Five minutes pass, of which stats tells each second second."""
        begin = self.clock.now()
        self.clock.advance(SLOT)
        names = self.others.names
        self.others.put(
            *(
                message(
                    Event(
                        id=f"{second.isoformat()}",
                        source="stats",
                        type=LOAD_OBSERVED,
                        time=second,
                        data=LoadObserved(
                            app="chat",
                            second=second,
                            shard=0,
                            shards=1,
                            complete_until=second + timedelta(seconds=1),
                            outcomes={"ok": requests},
                            in_flight=0,
                            pending=0,
                        ),
                    ),
                    topic=names.load.name,
                    key="chat",
                )
                for second in (begin + timedelta(seconds=2 * n) for n in range(150))
            )
        )

    def say(self, made: Evaluation) -> None:
        names = self.others.names
        self.others.say(
            names.evaluations, EVALUATION_MADE, "chat", EvaluationMade(app="chat", evaluation=made)
        )

    def retain(self) -> None:
        """The load of all but the last minutes is deleted."""
        log, names = self.others.log, self.others.names
        assert isinstance(log, MemoryLog)
        places = log.partitions(names.load.name)
        old = log.offsets_at(places, self.clock.now() - timedelta(minutes=20))
        for place, offset in old.items():
            log.forget(place, offset)

    def close(self) -> None:
        for process in self.processes:
            process.close()
        if self.others.writer is not None:
            self.others.writer.close()


@contextmanager
def past() -> Iterator[Past]:
    found = Past()
    try:
        yield found
    finally:
        found.close()


def test_after_some_mornings_the_floor_stands_before_the_rise() -> None:
    with past() as story:
        first = story.begin()
        story.slot(carried(0))
        assert why(first.turn(), "forecast floor").endswith("nothing is known of the past")
        story.mornings(2, process=first)
        assert why(first.turn(), "forecast floor").endswith(
            "too little of the past is known to test it"
        )
        story.mornings(DAYS - 2, process=first)
        for slot in range(RISE - 2):
            story.slot(carried(slot))
            made = first.turn()
            story.say(made)
        assert figures(made)["rate"] < 10
        assert figures(made)["forecast floor"] == TOP / 10
        assert why(made, "forecast floor") == f"{TOP} is expected by the day, 10 each"

        story.say(made_by_one_that_takes_over(story, made))
        found = replayed(story.others.log)
        assert (found.equal, found.unheld) == (True, 0), found.first_difference
        assert found.from_topics_equal == found.total == RISE - 1

        story.retain()
        again = made_by_one_that_takes_over(story, made)
        assert msgspec.json.encode(again.inputs) == msgspec.json.encode(made.inputs)


def made_by_one_that_takes_over(story: Past, before: Evaluation) -> Evaluation:
    """It folds what is held, and goes by the same."""
    made = story.begin("two").turn()
    assert made.inputs.forecast == before.inputs.forecast
    assert made.replicas == before.replicas
    return made


def test_who_takes_over_in_the_middle_leaves_no_hole_and_writes_nothing_twice() -> None:
    """The one dies some minutes after a slot that it had not written yet."""
    with past() as story:
        one = story.begin()
        for slot in range(4):
            story.slot(carried(slot))
            one.turn()
        story.slot(carried(4))
        two = story.begin("two")
        two.turn()
        two.turn()
        story.slot(carried(5))
        two.turn()
        one.turn()
        said = list(records(story.others.log, story.others.names.peaks))
        assert len(said) == len({record.value for record in said})
        world = Folding(story.others.names)
        for record in said:
            world.fold(record)
        last = newest("chat", story.clock.now())
        begun = slot_of(MORNING)
        assert all(
            world.world.pasts.knows("chat", Measure.RPS, slot) for slot in range(begun, last + 1)
        )
        assert len(said) == last - begun + 1


def test_what_compaction_took_is_no_longer_held() -> None:
    """Of the records of a day the newest alone stands: what was known before it is not."""
    with past() as story:
        process = story.begin()
        for slot in range(8):
            story.slot(carried(slot))
            made = process.turn()
        kept = held(story.others.log, story.others.names)
        [place] = [each for each in kept.streams if each.topic == kept.peaks and kept.streams[each]]
        told = kept.streams[place]
        compacted = replace(kept, streams={**kept.streams, place: told[-1:]})
        assert kept.enough(made, {place: told[3].offset})
        assert not compacted.enough(made, {place: told[3].offset})
        assert compacted.enough(made, {place: told[-1].offset + 1})
        without = replace_inputs(made, policy=policy())
        assert compacted.enough(without, {place: told[3].offset})


def replace_inputs(made: Evaluation, **changed: object) -> Evaluation:
    return msgspec.structs.replace(made, inputs=msgspec.structs.replace(made.inputs, **changed))
