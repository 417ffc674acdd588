"""Limits over HTTP: ask, set, remove, and find out what became of a command.

A command's id is the caller's ``Idempotency-Key``: sent again it has the first one's outcome, from
the log; with another body it is refused (409). Without the header an id is made and answered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.chassis.commands import CommandId, GivenId
from midstage.contracts.errors import RefusedError
from midstage.contracts.limits import FailureRule, LimitFact, LimitSet
from midstage.eventlog.versions import Answer
from midstage.throttle.decide.limits import decide
from midstage.throttle.model.limits import (
    Command,
    RemoveLimit,
    SetLimit,
    Slot,
    key_of,
    micros_per_s,
)
from midstage.throttle.views import standing

BY = "api"
NAME = r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}"
LIMIT = r"[a-z0-9][a-z0-9._-]{0,63}"

LimitName = Annotated[str, Path(pattern=f"^{LIMIT}$")]
Pair = Annotated[str, Field(pattern=rf"^(\*|{NAME})$")]
"""A customer or an application by name, or ``*`` for any."""


class LimitBody(BaseModel):
    """What a limit shall be; ``rate_per_s`` has at most six decimals."""

    model_config = ConfigDict(extra="forbid")

    customer: Pair
    app: Pair
    rate_per_s: StrictFloat = Field(ge=0.000001, le=1_000_000, allow_inf_nan=False)
    burst: StrictInt = Field(ge=1, le=1_000_000)
    on_failure: FailureRule = FailureRule.OPEN
    why: str = Field(default="", max_length=500)


class LimitAnswer(TypedDict):
    """A limit that stands; ``version`` counts the changes under its name."""

    limit: str
    customer: str
    app: str
    rate_per_s: float
    burst: int
    on_failure: str
    by: str
    why: str
    at: datetime
    version: int


class LimitsAnswer(TypedDict):
    """The limits that stand, by name."""

    limits: list[LimitAnswer]


class CommandAnswer(TypedDict):
    """What became of a command; ``repeated``: it had been carried out before."""

    limit: str
    version: int
    command_id: str
    repeated: bool


class LimitLog(Protocol):
    """The limits' versioned log, as the API needs it."""

    def states(self) -> Mapping[str, Slot]:
        """The slot of every key."""
        ...

    def state(self, key: str) -> tuple[int, Slot]:
        """Version and slot of one key."""
        ...

    def execute(
        self,
        *,
        key: str,
        command_id: str,
        payload: bytes,
        decide: Callable[[Slot], tuple[LimitFact, ...]],
    ) -> Answer[LimitFact]:
        """Decide, append, read back."""
        ...

    def answer(self, command_id: str) -> Answer[LimitFact] | None:
        """What became of a command."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits as the routes use them: commands get their id and time here."""

    log: LimitLog
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    def found(self, *, customer: str | None, app: str | None) -> LimitsAnswer:
        """The limits that stand, of this very customer and application where they are given."""
        facts = [
            fact
            for fact in standing(self.log.states())
            if customer in (None, fact.customer) and app in (None, fact.app)
        ]
        return {"limits": [self._answer(fact) for fact in facts]}

    def one(self, limit: str) -> LimitAnswer:
        """The limit of that name; RefusedError (404) where none stands."""
        version, slot = self.log.state(key_of(limit))
        if slot.standing is None:
            raise RefusedError(f"there is no limit {limit!r}", status=404)
        return _shaped(slot.standing, version)

    def set(self, limit: str, body: LimitBody, given_id: str | None) -> CommandAnswer:
        """Carry out PUT; RefusedError where the rate is finer than a millionth."""
        rate = body.rate_per_s
        if micros_per_s(rate) / 1_000_000 != rate:
            raise RefusedError(f"rate_per_s {rate!r} has more than six decimals; round it")
        command = SetLimit(
            limit=limit,
            customer=body.customer,
            app=body.app,
            rate_per_s=rate,
            burst=body.burst,
            on_failure=body.on_failure,
            by=BY,
            why=body.why,
            at=self.now(),
        )
        return self._executed(command, given_id, b"PUT " + _canonical(body))

    def remove(self, limit: str, given_id: str | None) -> CommandAnswer:
        """Carry out DELETE; RefusedError (404) where none stands."""
        command = RemoveLimit(limit=limit, by=BY, why="", at=self.now())
        return self._executed(command, given_id, b"DELETE")

    def command(self, command_id: str) -> CommandAnswer:
        """What became of a command; RefusedError (404) where the log does not know it."""
        answer = self.log.answer(command_id)
        if answer is None:
            raise RefusedError(f"the log knows no command {command_id!r}", status=404)
        return _outcome(answer)

    def _executed(self, command: Command, given_id: str | None, payload: bytes) -> CommandAnswer:
        command_id = given_id.strip('"') if given_id else self.new_id()
        answer = self.log.execute(
            key=key_of(command.limit),
            command_id=command_id,
            payload=payload,
            decide=lambda slot: decide(slot, command),
        )
        return _outcome(answer)

    def _answer(self, fact: LimitSet) -> LimitAnswer:
        version, _ = self.log.state(key_of(fact.limit))
        return _shaped(fact, version)


def router(limits: Limits) -> APIRouter:
    """The routes; they block while the log answers, so they run in threads."""
    routes = APIRouter(prefix="/v1", tags=["limits"])

    @routes.get("/limits")
    def get_limits(
        customer: Annotated[str | None, Query(max_length=256)] = None,
        app: Annotated[str | None, Query(max_length=256)] = None,
    ) -> LimitsAnswer:
        return limits.found(customer=customer, app=app)

    @routes.get("/limits/{limit}")
    def get_limit(limit: LimitName) -> LimitAnswer:
        return limits.one(limit)

    @routes.put("/limits/{limit}")
    def put_limit(
        limit: LimitName, body: LimitBody, idempotency_key: GivenId = None
    ) -> CommandAnswer:
        return limits.set(limit, body, idempotency_key)

    @routes.delete("/limits/{limit}")
    def delete_limit(limit: LimitName, idempotency_key: GivenId = None) -> CommandAnswer:
        return limits.remove(limit, idempotency_key)

    @routes.get("/commands/{command_id}")
    def get_command(command_id: CommandId) -> CommandAnswer:
        return limits.command(command_id)

    return routes


def _shaped(fact: LimitSet, version: int) -> LimitAnswer:
    return {
        "limit": fact.limit,
        "customer": fact.customer,
        "app": fact.app,
        "rate_per_s": fact.rate_per_s,
        "burst": fact.burst,
        "on_failure": fact.on_failure.value,
        "by": fact.by,
        "why": fact.why,
        "at": fact.at,
        "version": version,
    }


def _outcome(answer: Answer[LimitFact]) -> CommandAnswer:
    return {
        "limit": answer.key.removeprefix(key_of("")),
        "version": answer.version,
        "command_id": answer.command_id,
        "repeated": answer.repeated,
    }


def _canonical(body: LimitBody) -> bytes:
    return msgspec.json.encode(body.model_dump(mode="json"), order="sorted")
