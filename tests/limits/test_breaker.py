"""The circuit breaker around calls: what it lets through, what counts, and who is told."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from midstage.limits.breaker import Changed, CircuitBreaker
from midstage.limits.circuit import BreakerTerms, By, Circuit
from midstage.limits.errors import CircuitOpenError

SECOND = 10**9


class Clock:
    """A clock in the test's hand."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def breaker(clock: Clock, **more: object) -> tuple[CircuitBreaker, list[Changed]]:
    told: list[Changed] = []
    terms = BreakerTerms(window=4, least_calls=4, probes=2, open_ns=60 * SECOND, slow_ns=SECOND)
    circuit = CircuitBreaker(
        "store",
        terms,
        failures=(OSError,),
        ignored=(FileNotFoundError,),
        listeners=(told.append,),
        monotonic_ns=clock,
    )
    return circuit, told


def fail(circuit: CircuitBreaker, times: int, raised: Exception | None = None) -> None:
    for _ in range(times):
        with pytest.raises(Exception, match="down"), circuit.calling():
            raise raised or OSError("down")


def test_open_it_says_when_the_next_probe_may_come() -> None:
    clock = Clock()
    circuit, told = breaker(clock)
    fail(circuit, 4)
    clock.now_ns = 20 * SECOND
    with pytest.raises(CircuitOpenError) as refused, circuit.calling():
        pytest.fail("no call is made")
    assert refused.value.retry_after_s == 40
    assert [(each.before, each.now) for each in told] == [(Circuit.CLOSED, Circuit.OPEN)]


def test_its_probes_close_it() -> None:
    clock = Clock()
    circuit, told = breaker(clock)
    fail(circuit, 4)
    clock.now_ns = 60 * SECOND
    with circuit.calling(), circuit.calling():
        with pytest.raises(CircuitOpenError) as refused, circuit.calling():
            pytest.fail("no third probe")
        assert refused.value.retry_after_s is None
    assert circuit.state is Circuit.CLOSED
    assert [each.now for each in told] == [Circuit.OPEN, Circuit.HALF_OPEN, Circuit.CLOSED]


def test_slow_calls_open_it_too() -> None:
    clock = Clock()
    circuit, _ = breaker(clock)
    for _ in range(4):
        with circuit.calling():
            clock.now_ns += SECOND + 1
    assert circuit.state is Circuit.OPEN


@pytest.mark.parametrize("raised", [FileNotFoundError("down"), ValueError("down")])
def test_what_does_not_count_opens_nothing_and_frees_its_probe(raised: Exception) -> None:
    clock = Clock()
    circuit, _ = breaker(clock)
    fail(circuit, 8, raised)
    states = [circuit.state]
    fail(circuit, 4)
    clock.now_ns = 60 * SECOND
    fail(circuit, 8, raised)
    assert [*states, circuit.state] == [Circuit.CLOSED, Circuit.HALF_OPEN]


def test_around_functions_of_both_kinds() -> None:
    circuit, _ = breaker(Clock())

    @circuit
    def plain(number: int) -> int:
        return number + 1

    @circuit
    async def waiting(number: int) -> int:
        raise OSError(f"down {number}")

    assert plain(1) == 2
    for number in range(3):
        with pytest.raises(OSError, match="down"):
            asyncio.run(waiting(number))
    with pytest.raises(CircuitOpenError):
        plain(1)


def test_a_task_that_is_cancelled_is_no_outcome() -> None:
    clock = Clock()
    circuit, _ = breaker(clock)
    fail(circuit, 4)
    clock.now_ns = 60 * SECOND

    async def told() -> None:
        begun = asyncio.Event()

        async def call() -> None:
            async with circuit.calling():
                begun.set()
                await asyncio.Event().wait()

        for _ in range(5):
            begun.clear()
            task = asyncio.create_task(call())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(told())
    assert circuit.state is Circuit.HALF_OPEN


def test_of_many_threads_no_more_probe_than_may() -> None:
    clock = Clock()
    circuit, _ = breaker(clock)
    fail(circuit, 4)
    clock.now_ns = 60 * SECOND
    all_tried, passed = threading.Barrier(8), []

    def call(number: int) -> None:
        try:
            with circuit.calling():
                passed.append(number)
                all_tried.wait(60)
        except CircuitOpenError:
            all_tried.wait(60)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(call, range(8)))
    assert len(passed) == 2
    assert circuit.state is Circuit.CLOSED


def test_by_time_its_memory_has_a_bound() -> None:
    clock = Clock()
    terms = BreakerTerms(by=By.TIME, window=10 * SECOND, least_calls=1_000_000)
    circuit = CircuitBreaker("busy", terms, monotonic_ns=clock)
    for _ in range(20_000):
        clock.now_ns += 1_000_000
        with circuit.calling():
            pass
    assert len(circuit._breaker._slices) <= 1001
    assert 9_980 <= circuit._breaker._calls <= 10_001
