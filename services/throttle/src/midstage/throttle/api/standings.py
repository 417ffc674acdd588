"""Limits and plans as the log has them, and the commands that change them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from midstage.contracts.errors import RefusedError
from midstage.contracts.limits import CustomerPlanned, LimitFact, LimitSet, Terms
from midstage.eventlog.versions import Answer
from midstage.throttle.api import answers
from midstage.throttle.api.reading import LimitBody, PlanBody
from midstage.throttle.decide.limits import decide
from midstage.throttle.model.limits import (
    Asked,
    Command,
    PlanCustomer,
    RemoveLimit,
    SetLimit,
    Standing,
    UnplanCustomer,
    customer_key,
    key_of,
    limit_key,
)


class LimitLog(Protocol):
    """The limits' versioned log, as the API needs it."""

    def states(self) -> Mapping[str, Standing]:
        """What stands by every key."""
        ...

    def state(self, key: str) -> tuple[int, Standing]:
        """Version and what stands by one key."""
        ...

    def execute(
        self,
        *,
        key: str,
        command_id: str,
        payload: bytes,
        decide: Callable[[Standing], tuple[LimitFact, ...]],
    ) -> Answer[LimitFact]:
        """Decide, append, read back."""
        ...

    def answer(self, command_id: str) -> Answer[LimitFact] | None:
        """What became of a command."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """What is set, as the routes use it: commands get their id and time here."""

    log: LimitLog
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    def found(
        self, *, customer: str | None, plan: str | None, app: str | None
    ) -> answers.LimitsAnswer:
        """The limits that stand, of this very customer, plan and application where given."""
        facts = [
            fact
            for state in self.log.states().values()
            if isinstance(fact := state.fact, LimitSet)
            and customer in (None, fact.customer)
            and plan in (None, fact.plan)
            and app in (None, fact.app)
        ]
        facts.sort(key=lambda fact: fact.limit)
        return {"limits": [answers.limit(fact, self._version(fact)) for fact in facts]}

    def one(self, limit: str) -> answers.LimitAnswer:
        """The limit of that name; RefusedError (404) where none stands."""
        version, standing = self.log.state(limit_key(limit))
        if not isinstance(standing.fact, LimitSet):
            raise RefusedError(f"there is no limit {limit!r}", status=404)
        return answers.limit(standing.fact, version)

    def set(self, limit: str, body: LimitBody, given_id: str | None) -> answers.CommandAnswer:
        """Carry out PUT; RefusedError where such a limit can't be kept."""
        terms = Terms(**{name: getattr(body, name) for name in Terms.__struct_fields__})
        asked = Asked(by=body.by, why=body.why, at=self.now())
        command = SetLimit(limit=limit, terms=terms, asked=asked)
        return self._executed(command, given_id, b"PUT " + _canonical(body))

    def remove(
        self, limit: str, given_id: str | None, *, by: str, why: str
    ) -> answers.CommandAnswer:
        """Carry out DELETE; RefusedError (404) where none stands."""
        asked = Asked(by=by, why=why, at=self.now())
        return self._executed(RemoveLimit(limit=limit, asked=asked), given_id, b"DELETE")

    def plans(self, plan: str | None) -> answers.PlansAnswer:
        """Who is on which plan, or on this one."""
        facts = [
            fact
            for state in self.log.states().values()
            if isinstance(fact := state.fact, CustomerPlanned) and plan in (None, fact.plan)
        ]
        facts.sort(key=lambda fact: fact.customer)
        return {"customers": [self._planned(fact) for fact in facts]}

    def plan(self, customer: str) -> answers.PlanAnswer:
        """The customer's plan; RefusedError (404) where it is on none."""
        _, standing = self.log.state(customer_key(customer))
        if not isinstance(standing.fact, CustomerPlanned):
            raise RefusedError(f"customer {customer!r} is on no plan", status=404)
        return self._planned(standing.fact)

    def put_on_plan(
        self, customer: str, body: PlanBody, given_id: str | None
    ) -> answers.CommandAnswer:
        """Carry out PUT; whatever plan it was on before."""
        asked = Asked(by=body.by, why=body.why, at=self.now())
        command = PlanCustomer(customer=customer, plan=body.plan, asked=asked)
        return self._executed(command, given_id, b"PUT " + _canonical(body))

    def take_off_plan(
        self, customer: str, given_id: str | None, *, by: str, why: str
    ) -> answers.CommandAnswer:
        """Carry out DELETE; RefusedError (404) where it is on none."""
        asked = Asked(by=by, why=why, at=self.now())
        return self._executed(UnplanCustomer(customer=customer, asked=asked), given_id, b"DELETE")

    def command(self, command_id: str) -> answers.CommandAnswer:
        """What became of a command; RefusedError (404) where the log does not know it."""
        answer = self.log.answer(command_id)
        if answer is None:
            raise RefusedError(f"the log knows no command {command_id!r}", status=404)
        return answers.outcome(answer)

    def _executed(
        self, command: Command, given_id: str | None, payload: bytes
    ) -> answers.CommandAnswer:
        answer = self.log.execute(
            key=key_of(command),
            command_id=given_id.strip('"') if given_id else self.new_id(),
            payload=payload,
            decide=lambda standing: decide(standing, command),
        )
        return answers.outcome(answer)

    def _planned(self, fact: CustomerPlanned) -> answers.PlanAnswer:
        version, _ = self.log.state(customer_key(fact.customer))
        return answers.plan(fact, version)

    def _version(self, fact: LimitSet) -> int:
        return self.log.state(limit_key(fact.limit))[0]


def _canonical(body: msgspec.Struct) -> bytes:
    return msgspec.json.encode(body, order="sorted")
