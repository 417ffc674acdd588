"""One application's turn: inputs from the world, evaluation, decision into the log, evaluation out.

A decision is appended under the epoch in which this process holds the application's partition, so
that it does not count once another one has taken that. An evaluation is written whether it changed
something or not.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from itertools import count
from typing import Final, Protocol

import msgspec

from midstage.chassis.logs import logger
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.fact import Event
from midstage.contracts.scaling import (
    EVALUATION_MADE,
    Evaluation,
    EvaluationMade,
    ScaleDecided,
    ScalingFact,
    ScalingRemoved,
)
from midstage.eventlog.codec import message
from midstage.eventlog.failpoint import Failpoint
from midstage.eventlog.log import Delivery, Log, Undelivered, Writer
from midstage.eventlog.versions import Answer
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.scaling import decide, ended, evolve, newest_load
from midstage.hpa.metrics import Metrics
from midstage.hpa.model import Asked, Manual, Scaler, Trial
from midstage.hpa.stream.owning import Owning
from midstage.hpa.views.world import Standing, World

_PAYLOAD: Final = b"scale"
_FLUSH_S: Final = 2.0
_NONE: Final = Scaler()
_log = logger(__name__)


class Apps(Protocol):
    """The fold of the applications' log."""

    def states(self) -> Mapping[str, Asked]:
        """What each application's spec asks for."""
        ...

    def state(self, key: str) -> tuple[int, Asked]:
        """Version, and what the spec asks for."""
        ...

    def following(self) -> str | None:
        """None when the whole log is folded, else why not."""
        ...

    def stuck(self, key: str) -> str | None:
        """Why the application can't be decided here; None when it can."""
        ...


class Scaling(Protocol):
    """hpa's own versioned log."""

    def states(self) -> Mapping[str, Scaler]:
        """The scaler of each application."""
        ...

    def state(self, key: str) -> tuple[int, Scaler]:
        """Version and scaler of one application."""
        ...

    def following(self) -> str | None:
        """None when the whole log is folded, else why not."""
        ...

    def execute(
        self,
        *,
        key: str,
        command_id: str,
        payload: bytes,
        decide: Callable[[Scaler], Sequence[ScalingFact]],
        epoch: int | None = None,
    ) -> Answer[ScalingFact]:
        """Decide, append, read back."""
        ...


class Deciding:
    """Evaluates single applications; belongs to the thread of the loop."""

    def __init__(
        self,
        *,
        log: Log,
        topic: str,
        apps: Apps,
        scaling: Scaling,
        owning: Owning,
        engine: str,
        member: str,
        now: Callable[[], datetime],
        metrics: Metrics,
        reached: Failpoint,
    ) -> None:
        """``topic`` takes the evaluations; ``member`` names this process in their ids."""
        self._log = log
        self._topic = topic
        self._apps = apps
        self._scaling = scaling
        self._owning = owning
        self._engine = engine
        self._source = member
        self._now = now
        self._metrics = metrics
        self._reached = reached
        self._numbers = count(1)
        self._writer: Writer | None = None

    def following(self) -> str | None:
        """None when both versioned logs are folded, else why not."""
        return self._apps.following() or self._scaling.following()

    def decides(self, app: str) -> bool:
        """Whether the application is decided here."""
        return self._owning.epoch(app) is not None

    def applications(self) -> Mapping[str, tuple[Asked, Manual]]:
        """What is asked, and ordered, for those that scale, and those whose scaling has to end."""
        scalers = self._scaling.states()
        return {
            app: (asked, scalers.get(app, _NONE).manual)
            for app, asked in self._apps.states().items()
            if asked.policy is not None or scalers.get(app, _NONE).stands
        }

    def standing(self, app: str) -> Standing:
        """What the versioned logs say of it now."""
        spec_version, asked = self._apps.state(app)
        scale_version, scaler = self._scaling.state(app)
        return Standing(
            asked=asked, spec_version=spec_version, scaler=scaler, scale_version=scale_version
        )

    def evaluate(self, app: str, world: World, offsets: dict[str, int]) -> None:
        """Evaluate, decide, write; UnavailableError where the log does not take a change now.

        Nothing where another process decides the application.
        """
        epoch = self._owning.epoch(app)  # before what it is decided on: that can only be newer
        standing = self.standing(app)
        if epoch is None or self._apps.stuck(app) is not None or standing.spec_version == 0:
            return
        policy = standing.asked.policy
        if policy is None:
            self._remove(app, standing, epoch)
            return
        began = time.perf_counter()
        made = evaluate(world.inputs(app, standing, policy, self._now()))
        evaluation = msgspec.structs.replace(made, engine=self._engine, offsets=offsets)
        self._measured(evaluation, time.perf_counter() - began)
        self._reached("hpa:evaluated")
        try:
            decided = self._decided(evaluation, standing, epoch)
        except UnavailableError:
            self._metrics.undecided.inc()
            self._write(evaluation, decided=False, epoch=epoch)
            raise
        self._write(evaluation, decided=decided, epoch=epoch)

    def tried(self, trial: Trial, world: World, offsets: dict[str, int]) -> Evaluation:
        """What would be decided now if it were as in ``trial``; nothing is written.

        RefusedError (404) where there is no such application, (409) where it has no policy.
        """
        standing = self.standing(trial.app)
        policy = trial.policy or standing.asked.policy
        if standing.spec_version == 0 or standing.asked.removed:
            raise RefusedError(f"there is no application {trial.app!r}", status=404)
        if policy is None:
            raise RefusedError(f"application {trial.app!r} has no scaling policy", status=409)
        scaler = reduce(evolve, trial.facts, standing.scaler)
        there = replace(standing, scaler=scaler)
        made = evaluate(world.inputs(trial.app, there, policy, self._now()))
        return msgspec.structs.replace(made, engine=self._engine, offsets=offsets)

    def close(self) -> None:
        """Wait shortly for what is being written, and let go of the connection."""
        if self._writer is not None:
            self._writer.flush(_FLUSH_S)
            self._writer.close()

    def _decided(self, evaluation: Evaluation, standing: Standing, epoch: int) -> bool:
        """Whether this very evaluation changed the count."""
        if not decide(standing.scaler, evaluation):
            return False
        inputs = evaluation.inputs
        try:
            answer = self._executed(
                inputs.app, inputs.scale_version, lambda scaler: decide(scaler, evaluation), epoch
            )
        except RefusedError as e:
            _log.warning("decision_refused", app=inputs.app, reason=str(e))
            return False
        if answer.repeated or not answer.facts:
            return False
        direction = "first" if not inputs.current else _direction(inputs.current, evaluation)
        self._metrics.decisions.labels(direction=direction).inc()
        _log.info(
            "scale_decided",
            app=inputs.app,
            before=inputs.current,
            after=evaluation.replicas,
            version=answer.version,
            reason=evaluation.reason,
        )
        return True

    def _remove(self, app: str, standing: Standing, epoch: int) -> None:
        """Say once that it scales no more."""
        reason = "it was removed" if standing.asked.removed else "its spec has no scaling policy"
        removed = ScalingRemoved(app=app, at=self._now(), reason=reason)
        if not ended(standing.scaler, removed):
            return
        try:
            answer = self._executed(
                app, standing.scale_version, lambda scaler: ended(scaler, removed), epoch
            )
        except RefusedError as e:
            _log.warning("removal_refused", app=app, reason=str(e))
            return
        if not answer.repeated and answer.facts:
            self._metrics.decisions.labels(direction="removed").inc()
            _log.info("scaling_removed", app=app, version=answer.version, reason=reason)

    def _executed(
        self,
        app: str,
        base: int,
        deciding: Callable[[Scaler], Sequence[ScaleDecided | ScalingRemoved]],
        epoch: int,
    ) -> Answer[ScalingFact]:
        return self._scaling.execute(
            key=app,
            command_id=f"{self._engine}/{app}/{base}",
            payload=_PAYLOAD,
            decide=deciding,
            epoch=epoch,
        )

    def _write(self, evaluation: Evaluation, *, decided: bool, epoch: int) -> None:
        app = evaluation.inputs.app
        event = Event(
            id=f"{self._source}/{next(self._numbers)}",
            source=self._source,
            type=EVALUATION_MADE,
            time=evaluation.inputs.now,
            subject=app,
            data=EvaluationMade(app=app, evaluation=evaluation, decided=decided, epoch=epoch),
        )
        if self._writer is None:
            self._writer = self._log.writer()
        try:
            self._writer.send(message(event, topic=self._topic, key=app), self._delivered)
        except RefusedError as e:
            _log.error("evaluation_not_written", app=app, reason=str(e))
        self._writer.flush(0.0)  # raises what broke the client for good

    def _delivered(self, delivery: Delivery) -> None:
        if isinstance(delivery, Undelivered):
            _log.error("evaluation_not_written", reason=delivery.reason)

    def _measured(self, evaluation: Evaluation, took_s: float) -> None:
        known = [each.want is not None for each in evaluation.proposals]
        which = "known" if known and all(known) else "some" if any(known) else "unknown"
        self._metrics.evaluations.labels(input=which).inc()
        self._metrics.evaluation_seconds.observe(took_s)
        load = newest_load(evaluation)
        if load is not None:
            age = (evaluation.inputs.now - load).total_seconds()
            self._metrics.load_age_seconds.observe(max(0.0, age))


def _direction(current: int, evaluation: Evaluation) -> str:
    return "up" if evaluation.replicas > current else "down"
