"""What passes by leases counts in limits in shadow mode, as near as its holder can tell."""

import pytest
from prometheus_client import CollectorRegistry

from midstage.contracts.algorithms import AnyAlgorithm, FixedWindow, MovingWindow, TokenBucket
from midstage.contracts.algorithms import Slots as SlotsAlgorithm
from midstage.contracts.limits import FailureRule, LimitSet
from midstage.testkit.clock import NOON
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.checks import Check
from midstage.throttle.model.leases import Passed
from midstage.throttle.stream.gate import Gate
from midstage.throttle.stream.unkept import Unkept
from tests.throttle.gated import Held

SECOND = 1_000_000_000


class Told:
    """A gate whose clock is in the test's hand."""

    def __init__(self, *limits: LimitSet) -> None:
        self.registry = CollectorRegistry()
        self.now_ns = 1_800_000_000 * SECOND
        self.gate = Gate(
            limits=Held(*limits),
            keeping=Unkept(),
            monotonic_ns=lambda: self.now_ns,
            wall_ns=lambda: self.now_ns,
            metrics=Metrics(self.registry),
            caller_timeout_s=60.0,
            late_below_s=0.0,
        )
        assert self.gate.closed() is None

    def report(self, requests: int, *, during_s: float, **units: int) -> None:
        apps = {"chat": {"requests": requests, **units}}
        during_ns = int(during_s * SECOND)
        self.gate.lending.report(Passed(customer="acme", apps=apps, during_ns=during_ns))

    def left(self) -> int:
        ((_, left),) = self.gate.left("acme", "chat", "")
        return left.remaining

    def shadowed(self) -> float:
        return self.registry.get_sample_value("midstage_throttle_shadowed_total") or 0.0


def shadow(algorithm: AnyAlgorithm, amount: int = 100, unit: str = "requests") -> LimitSet:
    return LimitSet(
        limit="tried",
        customer="acme",
        amount=amount,
        unit=unit,
        algorithm=algorithm,
        on_failure=FailureRule.OPEN,
        shadow=True,
        at=NOON,
    )


def test_a_steady_stream_below_the_rate_is_never_too_much() -> None:
    """Though each report is of more than the burst."""
    told = Told(shadow(TokenBucket(period_s=1, burst=30)))
    for _ in range(20):
        told.now_ns += 3 * SECOND
        told.report(270, during_s=3)
    assert told.shadowed() == 0


def test_what_is_above_the_rate_would_have_been_refused() -> None:
    told = Told(shadow(TokenBucket(period_s=1, burst=30)))
    for _ in range(20):
        told.now_ns += 3 * SECOND
        told.report(600, during_s=3)
    assert told.shadowed() == pytest.approx(20 * 300 - 30, abs=30)


def test_two_holders_are_counted_together() -> None:
    told = Told(shadow(TokenBucket(period_s=1, burst=100)))
    for _ in range(20):
        for _ in range(2):
            told.now_ns += 3 * SECOND // 2
            told.report(135, during_s=3)
    assert told.shadowed() == 0
    for _ in range(20):
        for _ in range(2):
            told.now_ns += 3 * SECOND // 2
            told.report(300, during_s=3)
    assert told.shadowed() == pytest.approx(20 * 300, abs=200)


@pytest.mark.parametrize(
    "algorithm", [FixedWindow(period_s=60), MovingWindow(period_s=60)], ids=["fixed", "moving"]
)
def test_windows_see_what_passed_and_what_is_too_much_for_them(algorithm: AnyAlgorithm) -> None:
    told = Told(shadow(algorithm))
    told.now_ns += 3 * SECOND
    told.report(70, during_s=3)
    assert told.left() == 30
    told.now_ns += 3 * SECOND
    told.report(70, during_s=3)
    assert (told.left(), told.shadowed()) == (0, 40)


def test_of_tokens_that_are_too_many_as_large_a_share_of_the_requests_is() -> None:
    told = Told(shadow(FixedWindow(period_s=60), unit="tokens"))
    told.report(16, during_s=3, tokens=200)
    assert told.shadowed() == pytest.approx(8, abs=1)


def test_a_slot_is_free_again_and_is_not_taken() -> None:
    told = Told(shadow(SlotsAlgorithm(ttl_s=60), amount=5))
    told.report(3, during_s=3)
    assert told.left() == 5


def test_checks_that_are_asked_one_by_one_are_seen_as_before() -> None:
    told = Told(shadow(FixedWindow(period_s=60)))
    told.report(99, during_s=0)
    for _ in range(2):
        told.gate.check(Check(customer="acme", app="chat", hits=1), None)
    assert told.shadowed() == 1
