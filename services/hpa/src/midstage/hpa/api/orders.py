"""What the routes of orders ask for: commands with id and time, dry runs, what was ordered last.

A dry run is evaluated by the thread that folds, on what it knows now, and appends nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol

import msgspec
from fastapi import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictInt
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.contracts.errors import RefusedError
from midstage.contracts.manual import Direction
from midstage.contracts.scaling import Evaluation, EvaluationMade, ScalingFact
from midstage.eventlog.versions import Answer
from midstage.hpa.api import Apps
from midstage.hpa.api.policies import policy_of
from midstage.hpa.decide.orders import (
    Command,
    LiftOverride,
    PauseScaling,
    ResumeScaling,
    SetOverride,
    decide,
)
from midstage.hpa.model import Asked, Scaler, Trial
from midstage.hpa.views import orders
from midstage.hpa.views.orders import OrderAnswer

Replicas = Annotated[StrictInt | None, Field(ge=1, le=1000)]
Until = Annotated[
    AwareDatetime | None, Field(description="The end, at most 30 days ahead; none: in 30 days.")
]


class OverrideBody(BaseModel):
    """Either ``replicas``, or ``min``, ``max`` or both."""

    model_config = ConfigDict(extra="forbid")

    replicas: Replicas = None
    min: Replicas = None
    max: Replicas = None
    until: Until = None
    why: str = Field(default="", max_length=500)


class PauseBody(BaseModel):
    """Which way the count is not changed."""

    model_config = ConfigDict(extra="forbid")

    direction: Direction = Direction.BOTH
    until: Until = None
    why: str = Field(default="", max_length=500)


class CommandAnswer(TypedDict):
    """What became of a command; ``repeated``: it had been carried out before."""

    app: str
    version: int
    command_id: str
    repeated: bool


class ScalingLog(Protocol):
    """hpa's versioned log, as the orders need it."""

    def state(self, key: str) -> tuple[int, Scaler]:
        """Version and scaler of one application."""
        ...

    def execute(
        self,
        *,
        key: str,
        command_id: str,
        payload: bytes,
        decide: Callable[[Scaler], Sequence[ScalingFact]],
    ) -> Answer[ScalingFact]:
        """Decide, append, read back."""
        ...

    def answer(self, command_id: str) -> Answer[ScalingFact] | None:
        """What became of a command."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Orders as the routes use them: commands get their id and time here.

    ``tried`` evaluates a trial; it raises RefusedError or UnavailableError.
    """

    apps: Apps
    log: ScalingLog
    tried: Callable[[Trial], Evaluation]
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    def override(self, app: str, body: OverrideBody, *, by: str) -> SetOverride:
        """The command of a PUT; RefusedError where it names a count and bounds."""
        if body.replicas is not None and (body.min, body.max) != (None, None):
            raise RefusedError("replicas: give either replicas or min and max, not both")
        return SetOverride(
            app=app,
            least=body.min if body.replicas is None else body.replicas,
            most=body.max if body.replicas is None else body.replicas,
            by=by,
            why=body.why,
            at=self.now(),
            until=body.until,
        )

    def pause(self, app: str, body: PauseBody, *, by: str) -> PauseScaling:
        """The command of a PUT."""
        return PauseScaling(
            app=app,
            direction=body.direction,
            by=by,
            why=body.why,
            at=self.now(),
            until=body.until,
        )

    def lift(self, app: str, *, by: str, why: str) -> LiftOverride:
        """The command of a DELETE."""
        return LiftOverride(app=app, by=by, why=why, at=self.now())

    def resume(self, app: str, *, by: str, why: str) -> ResumeScaling:
        """The command of a DELETE."""
        return ResumeScaling(app=app, by=by, why=why, at=self.now())

    def done(self, command: Command, given_id: str | None, said: BaseModel | str) -> Response:
        """Carry out a command; RefusedError as ``decide`` raised it.

        ``said``: the body, or the reason; who repeats a command id says the same.
        """
        told = said if isinstance(said, str) else said.model_dump(mode="json")
        payload = msgspec.json.encode((type(command).__name__, told), order="sorted")
        answer = self.log.execute(
            key=command.app,
            command_id=given_id.strip('"') if given_id else self.new_id(),
            payload=payload,
            decide=lambda scaler: decide(scaler, self._asked(command.app), command),
        )
        return _json(_outcome(answer))

    def dry(self, command: Command) -> Response:
        """The evaluation as it would be; RefusedError as for the command itself."""
        _, scaler = self.log.state(command.app)
        facts = decide(scaler, self._asked(command.app), command)
        return self._tried(Trial(app=command.app, facts=facts))

    def evaluated(self, app: str, body: bytes) -> Response:
        """The evaluation under another policy; RefusedError where it is none."""
        return self._tried(Trial(app=app, policy=policy_of(body)))

    def overridden(self, app: str) -> OrderAnswer:
        """What was ordered last; RefusedError (404) where nothing was, or it was lifted."""
        override = self.log.state(app)[1].manual.override
        if override is None:
            raise RefusedError(f"application {app!r} has no override", status=404)
        return orders.override(app, override, self.now())

    def paused(self, app: str) -> OrderAnswer:
        """What was ordered last; RefusedError (404) where nothing was, or it was resumed."""
        pause = self.log.state(app)[1].manual.pause
        if pause is None:
            raise RefusedError(f"application {app!r} is not paused", status=404)
        return orders.pause(app, pause, self.now())

    def command(self, command_id: str) -> CommandAnswer:
        """What became of a command; RefusedError (404) where the log does not know it."""
        answer = self.log.answer(command_id)
        if answer is None:
            raise RefusedError(f"the log knows no command {command_id!r}", status=404)
        return _outcome(answer)

    def _asked(self, app: str) -> Asked | None:
        version, asked = self.apps.state(app)
        return asked if version else None

    def _tried(self, trial: Trial) -> Response:
        return _json(EvaluationMade(app=trial.app, evaluation=self.tried(trial)))


def _outcome(answer: Answer[ScalingFact]) -> CommandAnswer:
    return {
        "app": answer.key,
        "version": answer.version,
        "command_id": answer.command_id,
        "repeated": answer.repeated,
    }


def _json(answer: object) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")
