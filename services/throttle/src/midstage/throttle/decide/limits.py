"""What throttle decides of ``midstage.limits.v1``: facts of commands about limits and plans."""

from typing import assert_never

import msgspec

from midstage.contracts.errors import RefusedError
from midstage.contracts.limits import (
    CustomerPlanned,
    CustomerUnplanned,
    LimitFact,
    LimitRemoved,
    LimitSet,
)
from midstage.throttle.decide.terms import check, check_name
from midstage.throttle.model.limits import (
    Command,
    PlanCustomer,
    RemoveLimit,
    SetLimit,
    Standing,
    UnplanCustomer,
)


def decide(standing: Standing, command: Command) -> tuple[LimitFact, ...]:
    """The facts of a command; RefusedError where it can't be (404: there is nothing to end)."""
    match command:
        case SetLimit():
            return (_set(command),)
        case RemoveLimit(limit=limit, asked=asked):
            if standing.fact is None:
                raise RefusedError(f"there is no limit {limit!r} to remove", status=404)
            return (LimitRemoved(limit=limit, by=asked.by, why=asked.why, at=asked.at),)
        case PlanCustomer(customer=customer, plan=plan, asked=asked):
            check_name("customer", customer)
            check_name("plan", plan)
            return (
                CustomerPlanned(
                    customer=customer, plan=plan, by=asked.by, why=asked.why, at=asked.at
                ),
            )
        case UnplanCustomer(customer=customer, asked=asked):
            if standing.fact is None:
                raise RefusedError(f"customer {customer!r} is on no plan", status=404)
            return (CustomerUnplanned(customer=customer, by=asked.by, why=asked.why, at=asked.at),)
        case _:
            assert_never(command)


def evolve(standing: Standing, fact: LimitFact) -> Standing:  # noqa: ARG001  the last fact is it
    """What stands after a fact."""
    match fact:
        case LimitSet() | CustomerPlanned():
            return Standing(fact=fact)
        case LimitRemoved() | CustomerUnplanned():
            return Standing()
        case _:
            assert_never(fact)


def _set(command: SetLimit) -> LimitSet:
    check(command.limit, command.terms)
    asked = command.asked
    return LimitSet(
        **msgspec.structs.asdict(command.terms),
        limit=command.limit,
        by=asked.by,
        why=asked.why,
        at=asked.at,
    )
