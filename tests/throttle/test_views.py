"""Which limit holds for a request, and which buckets are remembered."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.limits import FailureRule, LimitSet
from midstage.testkit.clock import NOON
from midstage.throttle.decide.limits import take
from midstage.throttle.model.limits import Limit, Slot
from midstage.throttle.views import Buckets, Rules, rules_of

SECOND = 1_000_000_000

EXACT = ("exact", "acme", "chat")
CUSTOMER = ("customer", "acme", "*")
APP = ("app", "*", "chat")
ANY = ("any", "*", "*")


@pytest.mark.parametrize("order", list(permutations([EXACT, CUSTOMER, APP, ANY])))
def test_the_most_specific_limit_holds(order: tuple[tuple[str, str, str], ...]) -> None:
    rules = Rules(limited(*which) for which in order)
    assert found(rules, "acme", "chat") == "exact"
    assert found(rules, "acme", "ocr") == "customer"
    assert found(rules, "bolt", "chat") == "app"
    assert found(rules, "bolt", "ocr") == "any"


def test_a_customers_limit_goes_before_an_applications() -> None:
    rules = Rules([limited(*APP), limited(*CUSTOMER)])
    assert found(rules, "acme", "chat") == "customer"


def test_without_a_match_no_limit_holds() -> None:
    rules = Rules([limited(*EXACT)])
    assert rules.find("bolt", "chat") is None
    assert rules.find("acme", "ocr") is None


@pytest.mark.parametrize("order", list(permutations([5, 2, 9])))
def test_of_two_limits_for_one_pair_the_strictest_holds(order: tuple[int, ...]) -> None:
    rules = Rules(limited(f"r{rate}", "acme", "chat", rate=rate) for rate in order)
    assert found(rules, "acme", "chat") == "r2"


@pytest.mark.parametrize("order", list(permutations([5, 2, 9])))
def test_of_two_limits_of_one_rate_the_smaller_burst_holds(order: tuple[int, ...]) -> None:
    rules = Rules(limited(f"b{burst}", "acme", "chat", burst=burst) for burst in order)
    assert found(rules, "acme", "chat") == "b2"


def test_removed_limits_do_not_hold() -> None:
    slots = {"limit/gone": Slot(), "limit/here": Slot(standing=fact("here", "acme", "chat"))}
    assert found(rules_of(slots), "acme", "chat") == "here"
    assert rules_of(slots).named("gone") is None


def test_each_customer_of_an_any_limit_has_a_bucket_and_all_apps_share_it() -> None:
    buckets, limit = Buckets(), limited(*ANY, burst=1)
    assert passes(buckets, limit, "acme")
    assert not passes(buckets, limit, "acme")
    assert passes(buckets, limit, "bolt")


def test_full_buckets_are_forgotten_and_others_never() -> None:
    slow = limited("slow", "known", "*", burst=10)
    anyone = limited(*ANY, burst=2)
    rules, buckets = Rules([slow, anyone]), Buckets()
    for _ in range(10):
        assert passes(buckets, slow, "known", at=0)
    for number in range(20_000):
        at = number * SECOND // 2_000
        passes(buckets, anyone, f"random-{number}", at=at)
        buckets.sweep(rules, now_ns=at, most=4)
        if number > 10_000:
            assert len(buckets) < 5_000
    at = 9 * SECOND
    assert not passes(buckets, slow, "known", at=at, hits=10)
    assert passes(buckets, slow, "known", at=at, hits=9)


def test_after_a_while_nothing_is_left() -> None:
    limit = limited(*ANY, burst=5)
    rules, buckets = Rules([limit]), Buckets()
    for number in range(1000):
        passes(buckets, limit, f"random-{number}", at=0)
    assert len(buckets) == 1000
    buckets.sweep(rules, now_ns=SECOND - 1, most=1000)
    assert len(buckets) == 1000
    buckets.sweep(rules, now_ns=SECOND, most=1000)
    assert len(buckets) == 0


def test_a_raised_rate_counts_from_the_sweep_on_though_nobody_asks() -> None:
    slow, fast = limited("one", "acme", "*", rate=0), limited("one", "acme", "*", rate=1)
    buckets = Buckets()
    assert passes(buckets, slow, "acme", hits=10)
    buckets.sweep(Rules([fast]), now_ns=5 * SECOND, most=10)
    assert not passes(buckets, fast, "acme", at=6 * SECOND - SECOND // 2)
    assert passes(buckets, fast, "acme", at=6 * SECOND)


def test_buckets_of_removed_limits_are_forgotten() -> None:
    buckets = Buckets()
    passes(buckets, limited(*ANY), "acme", at=0)
    buckets.sweep(Rules(), now_ns=0, most=10)
    assert len(buckets) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, SECOND)), max_size=60))
def test_sweeping_changes_no_verdict(asked: list[tuple[int, int]]) -> None:
    limit = limited(*ANY, burst=2, rate=3)
    rules, swept, kept = Rules([limit]), Buckets(), Buckets()
    at = 0
    for customer, gap in asked:
        at += gap
        swept.sweep(rules, now_ns=at, most=2)
        name = f"customer-{customer}"
        assert passes(swept, limit, name, at=at) == passes(kept, limit, name, at=at)


def passes(buckets: Buckets, limit: Limit, customer: str, *, at: int = 0, hits: int = 1) -> bool:
    return take(buckets.of(limit, customer, at), hits=hits, now_ns=at).admitted


def found(rules: Rules, customer: str, app: str) -> str | None:
    limit = rules.find(customer, app)
    return limit.name if limit else None


def limited(name: str, customer: str, app: str, *, rate: int = 1, burst: int = 10) -> Limit:
    return Limit(
        name=name,
        customer=customer,
        app=app,
        rate_micros=max(1, rate * 1_000_000),
        burst=burst,
        on_failure=FailureRule.OPEN,
    )


def fact(name: str, customer: str, app: str) -> LimitSet:
    return LimitSet(limit=name, customer=customer, app=app, rate_per_s=1.0, burst=1, at=NOON)
