"""Commands about limits and plans become facts, or are refused with the remedy."""

from collections.abc import Mapping

import msgspec
import pytest

from midstage.contracts.algorithms import (
    CalendarQuota,
    Every,
    FixedWindow,
    Gcra,
    MovingWindow,
    Refill,
    Slots,
    TokenBucket,
)
from midstage.contracts.limits import (
    CustomerPlanned,
    CustomerUnplanned,
    LimitFact,
    LimitRemoved,
    LimitSet,
    OpenTo,
    Terms,
)
from midstage.testkit.clock import NOON
from midstage.testkit.decider import Decider
from midstage.throttle.decide.limits import decide, evolve
from midstage.throttle.model.limits import (
    Asked,
    Command,
    PlanCustomer,
    RemoveLimit,
    SetLimit,
    Standing,
    UnplanCustomer,
)

throttle: Decider[Standing, Command, LimitFact] = Decider(
    initial=Standing(), decide=decide, evolve=evolve
)
ASKED = Asked(by="ann", why="trial", at=NOON)
ALL = {"customer": "*", "aggregate": True}
TERMS = Terms(customer="acme", app="chat", amount=5, algorithm=TokenBucket(period_s=1.0))


def test_a_limit_is_set_with_who_and_why() -> None:
    throttle.given().when(wanted()).then(limited())


def test_a_limit_that_stands_is_replaced() -> None:
    throttle.given(limited()).when(wanted(amount=7)).then(limited(amount=7))
    throttle.given(limited()).when(wanted(amount=7)).then_state(Standing(fact=limited(amount=7)))


def test_a_limit_that_stands_can_be_removed() -> None:
    throttle.given(limited()).when(removal()).then(removed())
    throttle.given(limited()).when(removal()).then_state(Standing())


def test_what_does_not_stand_can_not_be_removed() -> None:
    throttle.given().when(removal()).then_refused("no limit 'acme-chat'")
    throttle.given(limited(), removed()).when(removal()).then_refused("no limit")


def test_a_removed_limit_can_be_set_again() -> None:
    throttle.given(limited(), removed()).when(wanted(amount=2)).then(limited(amount=2))


def test_a_customer_is_put_on_a_plan_and_taken_off_it() -> None:
    on = CustomerPlanned(customer="acme", plan="gold", by="ann", why="trial", at=NOON)
    off = CustomerUnplanned(customer="acme", by="ann", why="trial", at=NOON)
    planning = PlanCustomer(customer="acme", plan="gold", asked=ASKED)
    unplanning = UnplanCustomer(customer="acme", asked=ASKED)
    throttle.given().when(planning).then(on)
    throttle.given(on).when(unplanning).then(off)
    throttle.given(on, off).when(unplanning).then_refused("on no plan")


@pytest.mark.parametrize("name", ["", "a b", "*", "-a", "x" * 129, "ä"])
def test_customers_and_plans_have_names(name: str) -> None:
    throttle.given().when(PlanCustomer(customer=name, plan="gold", asked=ASKED)).then_refused(
        "customer: "
    )
    throttle.given().when(PlanCustomer(customer="acme", plan=name, asked=ASKED)).then_refused(
        "plan: "
    )


@pytest.mark.parametrize(
    ("changed", "because"),
    [
        ({"strict": True, "shadow": True}, "strict: a limit in shadow mode refuses nobody"),
        (
            {"strict": True, "unit": "concurrency", "algorithm": Slots()},
            "strict: slots are held by requests under way",
        ),
        ({"customer": "a b"}, "customer: 'a b' is no name"),
        ({"app": "x" * 200}, "app: "),
        ({"key": "*x"}, "key: "),
        ({"plan": "*"}, "plan: "),
        ({"debt": 5001}, "debt: 5001 is more than 1000 times the amount"),
        ({"customer": "*", "overrides": ("other",)}, "overrides: only a limit of one customer"),
        ({"shadow": True, "overrides": ("other",)}, "overrides: a limit in shadow mode"),
        ({"overrides": ("acme-chat",)}, "overrides: a limit can't override itself"),
        ({"algorithm": CalendarQuota(every=Every.DAY, zone="Mars/Olympus")}, "algorithm.zone: "),
        ({"algorithm": CalendarQuota(every=Every.DAY, zone="../passwd")}, "algorithm.zone: "),
        (
            {"algorithm": TokenBucket(period_s=1.0, burst=9, refill=Refill.WHOLE)},
            "algorithm.burst: ",
        ),
        ({"amount": 100_001, "algorithm": MovingWindow(period_s=1.0)}, "amount: a moving window"),
        ({"algorithm": Slots()}, "slots are for the unit concurrency"),
        ({"unit": "concurrency"}, "slots are for the unit concurrency"),
        ({"unit": "concurrency", "algorithm": Slots(), "drain": True}, "drain: "),
        ({"aggregate": True}, "aggregate: such a limit is over all customers"),
        ({**ALL, "key": "*"}, "aggregate: such a limit is over all customers"),
        ({**ALL, "drain": True}, "drain: a process can't drain the parts that others have"),
        ({**ALL, "on_failure": OpenTo(amount=1, period_s=1.0)}, "on_failure: each process"),
        ({**ALL, "unit": "concurrency", "algorithm": Slots()}, "aggregate: a slot is held as"),
        ({**ALL, "algorithm": Gcra(period_s=1.0)}, "algorithm: say token_bucket"),
        ({**ALL, "algorithm": MovingWindow(period_s=1.0)}, "algorithm: say sliding_counter"),
    ],
)
def test_terms_that_can_not_be_kept_are_refused(
    changed: Mapping[str, object], because: str
) -> None:
    throttle.given().when(wanted(**changed)).then_refused(because)


def test_every_kind_of_terms_that_can_be_kept_is_taken() -> None:
    for algorithm in (
        CalendarQuota(every=Every.MONTH, zone="Europe/Berlin"),
        FixedWindow(period_s=60.0),
    ):
        throttle.given().when(wanted(algorithm=algorithm)).then(limited(algorithm=algorithm))
        terms = {**ALL, "algorithm": algorithm}
        throttle.given().when(wanted(**terms)).then(limited(**terms))


def wanted(**changed: object) -> SetLimit:
    terms = msgspec.structs.replace(TERMS, **changed)
    return SetLimit(limit="acme-chat", terms=terms, asked=ASKED)


def limited(**changed: object) -> LimitSet:
    fields = {**msgspec.structs.asdict(TERMS), **changed}
    return LimitSet(**fields, limit="acme-chat", by="ann", why="trial", at=NOON)


def removal() -> RemoveLimit:
    return RemoveLimit(limit="acme-chat", asked=ASKED)


def removed() -> LimitRemoved:
    return LimitRemoved(limit="acme-chat", by="ann", why="trial", at=NOON)
