"""The loop: streams in, evaluations out, and decisions into the versioned log.

One thread folds and evaluates, so an evaluation's offsets are exactly what it used. Every process
folds all of it, and evaluates the applications that it holds alone: so whoever takes over goes on
at once, and answers for all. No evaluation before all is folded, so a restart changes nothing by
itself.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError
from midstage.contracts.load import LoadObserved
from midstage.contracts.scaling import Evaluation, EvaluationMade
from midstage.contracts.signals import SignalObserved
from midstage.eventlog.backoff import Backoff
from midstage.eventlog.log import GapError, Log, Partition, Reader, Record
from midstage.eventlog.progress import Progress
from midstage.hpa.metrics import Metrics
from midstage.hpa.model import Scaler, Trial
from midstage.hpa.stream.alarming import Alarming
from midstage.hpa.stream.deciding import Deciding
from midstage.hpa.stream.due import Due
from midstage.hpa.stream.folding import Folding, Topics
from midstage.hpa.stream.reading import MOST, Opening
from midstage.hpa.stream.remembering import Remembering
from midstage.hpa.stream.trials import Trials
from midstage.hpa.views.conditions import Conditions

_POLL_S: Final = 0.2
_SOON_S: Final = 0.02
AT_ONCE: Final = 500
"""Applications whose changes are appended together: so many evaluations are in memory."""
_log = logger(__name__)


class Evaluating:
    """A chassis Loop; other threads ask for the newest evaluations and for its progress."""

    name = "evaluating"

    def __init__(
        self,
        *,
        log: Log,
        topics: Topics,
        deciding: Deciding,
        alarming: Alarming,
        remembering: Remembering,
        metrics: Metrics,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        """Connect nothing yet."""
        self._topics = topics
        self._opening = Opening(log=log, topics=topics, now=now)
        self._deciding = deciding
        self._alarming = alarming
        self._remembering = remembering
        self._metrics = metrics
        self._monotonic = monotonic
        self._progress = Progress(monotonic)
        self._goal: Mapping[Partition, int] | None = None
        self._folding = Folding(topics)
        self._folded = False
        self._due = Due()
        self._latest: dict[str, EvaluationMade] = {}
        self.trials = Trials()

    def run(self, stop: threading.Event) -> None:
        """Fold and evaluate until ``stop`` is set; raises what is not UnavailableError."""
        backoff = Backoff()
        reader: Reader | None = None
        try:
            while not stop.is_set():
                try:
                    reader = reader or self._opened(stop)
                    if reader is not None:
                        self._turn(reader)
                    backoff.reset()
                except GapError as e:
                    _log.warning("streams_begun_anew", reason=str(e))
                    _close(reader)
                    reader = None
                    self._back_off(str(e), backoff, stop)
                except UnavailableError as e:
                    self._back_off(str(e), backoff, stop)
        finally:
            self._progress.ended()
            _close(reader)
            self._deciding.close()
            self._remembering.close()

    def caught_up(self) -> str | None:
        """None when the streams are folded and it goes on; else why not."""
        reason = self._progress.reason()
        if reason is None and not self._folded:
            return "the streams are still being folded"
        return reason

    def latest(self, app: str) -> EvaluationMade | None:
        """The newest evaluation in the log, of whatever process."""
        return self._latest.get(app)

    def _opened(self, stop: threading.Event) -> Reader | None:
        self._folded = False
        self._folding = Folding(self._topics, unreadable=self._unreadable)
        opened = self._opening.opened(self._folding, stop)
        if opened is None:
            return None
        reader, self._goal = opened
        self._progress.came_round(lag=0)
        return reader

    def _turn(self, reader: Reader) -> None:
        records = reader.poll(most=MOST, timeout_s=_SOON_S if self._due.soon() else _POLL_S)
        for record in records:
            self._fold(record)
        lag = sum(reader.lag().values())
        self._metrics.lag.set(lag)
        if records:
            self._progress.moved()
        else:
            self._progress.came_round(lag=lag)
        if self._ready():
            self._evaluate()
            self.trials.answer(self._tried)

    def _fold(self, record: Record) -> None:
        match self._folding.fold(record):
            case LoadObserved(app=app) | SignalObserved(app=app):
                if self._deciding.decides(app):
                    self._due.heard(app)
            case EvaluationMade() as made:
                self._latest[made.app] = made
            case None:
                pass

    def _ready(self) -> bool:
        if not self._folded:
            self._folded = self._goal is not None and self._folding.reached(self._goal)
        return self._folded and self._deciding.following() is None

    def _evaluate(self) -> None:
        """Evaluate what is due; where the log takes no change now, the rest has the next turn."""
        due = set(self._due.of_heard(self._monotonic()))
        if self._due.asks_all(self._monotonic()):
            apps = self._deciding.applications()
            ours = {app: asked for app, asked in apps.items() if self._deciding.decides(app)}
            self._metrics.applications.set(len(ours))
            due.update(self._due.of_all(ours, self._monotonic()))
            self._alarming.look_for_ended(apps)
        offsets = self._folding.offsets() if due else {}
        for lot in _lots(sorted(due)):
            for app in lot:
                self._due.done(app, self._monotonic())
            self._deciding.evaluate(lot, self._folding.world, offsets)
            self._look(lot)

    def _look(self, apps: Sequence[str]) -> None:
        world = self._folding.world
        seen: dict[str, tuple[Scaler, Conditions | None]] = {}
        for app in apps:
            standing = self._deciding.standing(app)
            if standing.asked.policy is not None:
                seen[app] = standing.scaler, world.conditioned.of(app)
                self._remembering.look(app, standing.asked.policy, world)
        self._alarming.look(seen)

    def _tried(self, trial: Trial) -> Evaluation:
        return self._deciding.tried(trial, self._folding.world, self._folding.offsets())

    def _unreadable(self, record: Record, reason: str) -> None:
        self._metrics.unreadable.inc()
        place = record.partition
        _log.warning(
            "record_not_folded",
            topic=place.topic,
            partition=place.number,
            offset=record.offset,
            reason=reason,
        )

    def _back_off(self, reason: str, backoff: Backoff, stop: threading.Event) -> None:
        self._progress.backs_off(reason)
        backoff.wait(stop)


def _lots(apps: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(apps), AT_ONCE):
        yield apps[begin : begin + AT_ONCE]


def _close(reader: Reader | None) -> None:
    if reader is not None:
        reader.close()
