"""What is left for a customer and why, and what a request would be told; nothing is charged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from midstage.contracts.limits import ANY, CustomerPlanned, LimitSet, Terms
from midstage.throttle.api import answers
from midstage.throttle.model.checks import Check, Ended, Judged, Left
from midstage.throttle.views.book import policy_of

_NS_PER_S = 1_000_000_000


class Gate(Protocol):
    """What answers checks, on the event loop that the routes run on too."""

    def look(self, check: Check) -> Judged | None:
        """What a check would say; None where no limit holds."""
        ...

    def left(self, customer: str, app: str | None, key: str) -> Sequence[tuple[LimitSet, Left]]:
        """The limits that concern a customer, and what is left of each."""
        ...

    def settle(self, ended: Ended) -> None:
        """Charge what a request really used."""
        ...

    def plan(self, customer: str) -> CustomerPlanned | None:
        """The plan that the customer is on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """What can be seen of the meters, as the routes use it."""

    gate: Gate

    def left(self, customer: str, *, app: str | None, key: str) -> answers.LeftAnswer:
        """Each limit that requests of ``customer`` meet, to ``app`` or to any application."""
        planned = self.gate.plan(customer)
        found = self.gate.left(customer, app, key)
        return {
            "customer": customer,
            "plan": planned.plan if planned else None,
            "limits": _rows(found),
        }

    def settle(self, ended: Ended) -> answers.SettledAnswer:
        """Charge what the request used, once."""
        self.gate.settle(ended)
        return {"request": ended.request}

    def foreseen(self, check: Check) -> answers.ForeseenAnswer:
        """What the check would be told."""
        return told(self.gate.look(check))


def told(judged: Judged | None) -> answers.ForeseenAnswer:
    """A verdict as it is answered; a pass where no limit holds."""
    if judged is None:
        return {"admitted": True, "violated": [], "retry_after_s": 0.0, "limits": []}
    wait_ns = judged.wait_ns
    return {
        "admitted": judged.admitted,
        "violated": list(judged.violated),
        "retry_after_s": None if wait_ns is None else wait_ns / _NS_PER_S,
        "limits": _rows(list(zip(judged.meeting.limits, judged.left, strict=True))),
    }


def _rows(found: Sequence[tuple[LimitSet, Left]]) -> list[answers.LimitLeft]:
    limits = [limit for limit, _ in found]
    return [_row(limit, left, limits) for limit, left in found]


def _row(fact: LimitSet, left: Left, beside: Sequence[LimitSet]) -> answers.LimitLeft:
    quota = policy_of(fact).quota
    return {
        "limit": fact.limit,
        "app": fact.app,
        "unit": fact.unit,
        "says": answers.says(fact),
        "quota": quota,
        "used": quota - left.remaining,
        "remaining": left.remaining,
        "wait_s": None if left.wait_ns is None else left.wait_ns / _NS_PER_S,
        "on_failure": answers.on_failure(fact),
        "shadow": fact.shadow,
        "overridden_by": [each.limit for each in beside if fact.limit in each.overrides],
        "because": _because(fact),
        "by": fact.by,
        "why": fact.why,
        "at": fact.at,
    }


def _because(terms: Terms) -> str:
    """Whom it is for."""
    anybody = "all customers together" if terms.aggregate else "every customer"
    who = anybody if terms.customer == ANY else f"customer {terms.customer}"
    plan = f" on plan {terms.plan}" if terms.plan else ""
    keys = "each key" if terms.key == ANY else f"key {terms.key}"
    key = f" by {keys}" if terms.key else ""
    where = "all applications together" if terms.app == ANY else f"application {terms.app}"
    labels = ", ".join(f"{label} {value}" for label, value in sorted(terms.match.items()))
    return f"{who}{plan}{key}, {where}{', with ' if labels else ''}{labels}"
