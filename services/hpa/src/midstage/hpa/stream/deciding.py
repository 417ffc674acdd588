"""A turn of applications: inputs from the world, evaluations, decisions into the log, and told.

Each decision is appended as soon as it is made, and all of a turn are waited for together. It is
appended under the epoch in which this process holds the application's partition, so that it does
not count once another one has taken that. An evaluation is told when it is known what it changed.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial, reduce
from typing import Final, Protocol

import msgspec

from midstage.chassis.logs import logger
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.scaling import Evaluation, ScaleDecided, ScalingFact, ScalingRemoved
from midstage.eventlog.failpoint import Failpoint
from midstage.eventlog.versions import Answer, Execution
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.scaling import decide, ended, evolve, newest_load
from midstage.hpa.metrics import Metrics
from midstage.hpa.model import Asked, Manual, Scaler, Trial
from midstage.hpa.stream.owning import Owning
from midstage.hpa.stream.telling import Telling
from midstage.hpa.views.world import Standing, World

_PAYLOAD: Final = b"scale"
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

    def execute_all(
        self, executions: Iterable[Execution[Scaler, ScalingFact]]
    ) -> Sequence[Answer[ScalingFact] | RefusedError | UnavailableError]:
        """Decide and append each as it comes, read all back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What is to be decided on the scaler of version ``base``, in ``epoch``."""

    fact: Evaluation | ScalingRemoved
    base: int
    epoch: int

    @property
    def app(self) -> str:
        match self.fact:
            case Evaluation(inputs=inputs):
                return inputs.app
            case ScalingRemoved(app=app):
                return app


class Deciding:
    """Evaluates applications; belongs to the thread of the loop."""

    def __init__(
        self,
        *,
        apps: Apps,
        scaling: Scaling,
        owning: Owning,
        telling: Telling,
        engine: str,
        now: Callable[[], datetime],
        metrics: Metrics,
        reached: Failpoint,
    ) -> None:
        """Decide in ``scaling`` of the applications that this process holds there."""
        self._apps = apps
        self._scaling = scaling
        self._owning = owning
        self._telling = telling
        self._engine = engine
        self._now = now
        self._metrics = metrics
        self._reached = reached

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

    def evaluate(self, apps: Iterable[str], world: World, offsets: dict[str, int]) -> None:
        """Evaluate each, decide, tell; nothing of those that another process decides.

        UnavailableError, in the end, where the log did not take a change now.
        """
        changes: list[_Change] = []

        def executions() -> Iterator[Execution[Scaler, ScalingFact]]:
            for app in apps:
                change = self._change(app, world, offsets)
                if change is not None:
                    changes.append(change)
                    yield self._execution(change)

        answers = self._scaling.execute_all(executions())
        for change, answer in zip(changes, answers, strict=True):
            self._answered(change, answer)
        for answer in answers:
            if isinstance(answer, UnavailableError):
                raise answer

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
        """Wait shortly for what is being told, and let go of the connection."""
        self._telling.close()

    def _change(self, app: str, world: World, offsets: dict[str, int]) -> _Change | None:
        """What is to change in the log; an evaluation that changes nothing is told at once."""
        epoch = self._owning.epoch(app)  # before what it is decided on: that can only be newer
        standing = self.standing(app)
        if epoch is None or self._apps.stuck(app) is not None or standing.spec_version == 0:
            return None
        policy = standing.asked.policy
        fact: Evaluation | ScalingRemoved
        if policy is None:
            reason = (
                "it was removed" if standing.asked.removed else "its spec has no scaling policy"
            )
            fact = ScalingRemoved(app=app, at=self._now(), reason=reason)
        else:
            began = time.perf_counter()
            made = evaluate(world.inputs(app, standing, policy, self._now()))
            fact = msgspec.structs.replace(made, engine=self._engine, offsets=offsets)
            self._measured(fact, time.perf_counter() - began)
            self._reached("hpa:evaluated")
        if _decided(fact, standing.scaler):
            return _Change(fact=fact, base=standing.scale_version, epoch=epoch)
        if isinstance(fact, Evaluation):
            self._telling.tell(fact, decided=False, epoch=epoch)
        return None

    def _execution(self, change: _Change) -> Execution[Scaler, ScalingFact]:
        return Execution(
            key=change.app,
            command_id=f"{self._engine}/{change.app}/{change.base}",
            payload=_PAYLOAD,
            decide=partial(_decided, change.fact),
            epoch=change.epoch,
        )

    def _answered(
        self, change: _Change, answer: Answer[ScalingFact] | RefusedError | UnavailableError
    ) -> None:
        decided = False
        match answer:
            case UnavailableError():
                self._metrics.undecided.inc()
            case RefusedError():
                _log.warning("decision_refused", app=change.app, reason=str(answer))
            case Answer():
                decided = bool(answer.facts) and not answer.repeated
                if decided:
                    self._noted(change.fact, answer.version)
        if isinstance(change.fact, Evaluation):
            self._telling.tell(change.fact, decided=decided, epoch=change.epoch)

    def _noted(self, fact: Evaluation | ScalingRemoved, version: int) -> None:
        match fact:
            case ScalingRemoved(app=app, reason=reason):
                self._metrics.decisions.labels(direction="removed").inc()
                _log.info("scaling_removed", app=app, version=version, reason=reason)
            case Evaluation(inputs=inputs):
                self._metrics.decisions.labels(direction=_direction(fact)).inc()
                _log.info(
                    "scale_decided",
                    app=inputs.app,
                    before=inputs.current,
                    after=fact.replicas,
                    version=version,
                    reason=fact.reason,
                )

    def _measured(self, evaluation: Evaluation, took_s: float) -> None:
        known = [each.want is not None for each in evaluation.proposals]
        which = "known" if known and all(known) else "some" if any(known) else "unknown"
        self._metrics.evaluations.labels(input=which).inc()
        self._metrics.evaluation_seconds.observe(took_s)
        load = newest_load(evaluation)
        if load is not None:
            age = (evaluation.inputs.now - load).total_seconds()
            self._metrics.load_age_seconds.observe(max(0.0, age))


def _decided(
    fact: Evaluation | ScalingRemoved, scaler: Scaler
) -> Sequence[ScaleDecided | ScalingRemoved]:
    match fact:
        case Evaluation():
            return decide(scaler, fact)
        case ScalingRemoved():
            return ended(scaler, fact)


def _direction(evaluation: Evaluation) -> str:
    current = evaluation.inputs.current
    return "first" if not current else "up" if evaluation.replicas > current else "down"
