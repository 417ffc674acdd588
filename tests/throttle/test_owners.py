"""Several throttles over one log: whoever is asked, one counts; and all have their share."""

import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from midstage.chassis.clock import SystemClock
from midstage.contracts import topics
from midstage.contracts.fact import Event, Fact
from midstage.contracts.spends import (
    CUSTOMERS_TAKEN,
    CustomersLeft,
    CustomersTaken,
)
from midstage.eventlog.codec import Decoder, message
from midstage.eventlog.log import BEGINNING, Log
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.ports import free_port
from tests.throttle.conftest import Running, memory, running
from tests.throttle.logged import put

CUSTOMERS = tuple(f"customer-{number}" for number in range(12))
EACH = 3
MANY = 100_000
TERMS = {"customer": "*", "app": "chat", "amount": EACH, "on_failure": "closed"}


@pytest.fixture
def log() -> MemoryLog:
    return memory()


@pytest.mark.slow
def test_each_of_three_counts_for_a_third_and_of_two_for_a_half(
    log: MemoryLog, tmp_path: Path
) -> None:
    with running(log, topics.LIMITS, tmp_path) as first:
        within(60, lambda: held(first) == [6])
        with running(log, topics.LIMITS, tmp_path) as second:
            within(60, lambda: held(first, second) == [3, 3])
            with running(log, topics.LIMITS, tmp_path) as third:
                within(60, lambda: held(first, second, third) == [2, 2, 2])
            within(60, lambda: held(first, second) == [3, 3])
        within(60, lambda: held(first) == [6])
    # six by the first, three to the second, two to the third; two, then three are given back: all
    # that was taken of who lives was left by it, and in the end all is left
    assert [len(epochs(log, kind)) for kind in (CustomersTaken, CustomersLeft)] == [16, 16]


@pytest.mark.slow
def test_whoever_is_asked_each_customer_has_its_limit_once(log: MemoryLog, tmp_path: Path) -> None:
    with ExitStack() as stack:
        all_three = [started(stack, log, tmp_path) for _ in range(3)]
        limited(all_three)
        within(60, lambda: held(*all_three) == [2, 2, 2])
        for customer in CUSTOMERS:
            passed = [each.passes(customer, "chat") for each in (*all_three, *all_three)]
            assert passed == [True] * EACH + [False] * (2 * 3 - EACH)
        assert all(total(each, "forwarded_total") > 0 for each in all_three)


@pytest.mark.slow
def test_who_stops_in_order_loses_nothing(log: MemoryLog, tmp_path: Path) -> None:
    """A quarter of what is left would be room, and lost, if it died."""
    with ExitStack() as stack:
        first = started(stack, log, tmp_path)
        with running(log, topics.LIMITS, tmp_path) as second:
            limited([first, second], amount=40)
            within(60, lambda: held(first, second) == [3, 3])
            used = {each: sum(second.passes(each, "chat") for _ in range(5)) for each in CUSTOMERS}
        assert set(used.values()) == {5}
        within(60, lambda: held(first) == [6])
        for customer in CUSTOMERS:
            assert sum(first.passes(customer, "chat") for _ in range(40)) == 35


@pytest.mark.slow
def test_who_comes_and_goes_under_load_costs_nobody_anything(
    log: MemoryLog, tmp_path: Path
) -> None:
    """No check is told by a failure rule, and what has not passed is left in the end."""
    passed = dict.fromkeys(CUSTOMERS, 0)
    is_over = threading.Event()

    def asks(throttle: Running, customers: Sequence[str]) -> None:
        while not is_over.is_set():
            for each in customers:
                passed[each] += throttle.passes(each, "chat")

    with ExitStack() as stack:
        both = [started(stack, log, tmp_path) for _ in range(2)]
        limited(both, amount=MANY)
        within(60, lambda: held(*both) == [3, 3])
        with ThreadPoolExecutor() as pool:
            callers = [pool.submit(asks, each, CUSTOMERS[at::2]) for at, each in enumerate(both)]
            stack.callback(is_over.set)
            with running(log, topics.LIMITS, tmp_path) as third:
                within(60, lambda: held(*both, third) == [2, 2, 2])
                before = dict(passed)
                within(60, lambda: all(passed[each] > before[each] for each in CUSTOMERS))
                assert total(third, 'without_room_total{rule="closed"}') == 0
            within(60, lambda: held(*both) == [3, 3])
            is_over.set()
        assert [each.exception() for each in callers] == [None, None]
        assert {each: left(both[0], each) for each in CUSTOMERS} == {
            each: [MANY - passed[each]] for each in CUSTOMERS
        }
        assert [total(each, 'without_room_total{rule="closed"}') for each in both] == [0, 0]
        assert sum(total(each, "handed_over_total") for each in both) == 3 + 2


@pytest.mark.slow
def test_what_the_last_one_left_is_taken_at_once_and_whole(log: MemoryLog, tmp_path: Path) -> None:
    with running(log, topics.LIMITS, tmp_path) as first:
        limited([first], amount=40)
        assert sum(first.passes("acme", "chat") for _ in range(5)) == 5
    assert len(epochs(log, CustomersLeft)) == 6
    with running(log, topics.LIMITS, tmp_path) as second:
        within(60, lambda: held(second) == [6])
        assert sum(second.passes("acme", "chat") for _ in range(40)) == 35


@pytest.mark.slow
@pytest.mark.parametrize("how", ["grpc", "http"])
def test_the_customers_of_a_dead_one_go_to_all_others(
    log: MemoryLog, tmp_path: Path, how: str
) -> None:
    with ExitStack() as stack:
        both = [started(stack, log, tmp_path) for _ in range(2)]
        limited(both)
        within(60, lambda: held(*both) == [3, 3])
        for number in range(6):
            write(log, CUSTOMERS_TAKEN, ghost(number, epoch=9))
        within(60, lambda: held(*both) == [0, 0])

        def asked() -> bool:
            """A dead one is found by who asks it."""
            for customer in CUSTOMERS:
                if how == "grpc":
                    both[0].passes(customer, "chat")
                else:
                    assert post(both[0], "/v1/checks", body(customer)) in (200, 503)
            return held(*both) == [3, 3]

        within(60, asked)


@pytest.mark.slow
def test_over_http_the_owner_is_asked_too(log: MemoryLog, tmp_path: Path) -> None:
    with ExitStack() as stack:
        both = [started(stack, log, tmp_path) for _ in range(2)]
        limited(both, amount=40)
        within(60, lambda: held(*both) == [3, 3])
        for customer in CUSTOMERS:
            for each in both:
                assert checked(each, customer, "/v1/checks") is True
                assert checked(each, customer, "/v1/checks/foreseen") is True
                assert post(each, "/v1/settlements", ended(customer)) == 202
            remaining = [left(each, customer) for each in both]
            assert remaining == [[38], [38]]
        for each in both:
            answers = each.http.post("/v1/leases", json=asking(CUSTOMERS)).json()["answers"]
            assert [answer["customer"] for answer in answers] == list(CUSTOMERS)
            assert all("chat" in answer["per_check"] for answer in answers)
            assert total(each, "forwarded_total") > 0
        statuses = [post(each, "/v1/checks", body("acme"), forwarded="1") for each in both]
        assert sorted(statuses) == [200, 503], "what is forwarded is not forwarded again"
        bare = {"authorization": "Bearer nobody's"}
        for each in both:
            for customer in CUSTOMERS:
                answer = each.http.post("/v1/checks", json=body(customer), headers=bare)
                assert answer.status_code == 401


def started(stack: ExitStack, log: Log, directory: Path) -> Running:
    return stack.enter_context(running(log, topics.LIMITS, directory))


def limited(throttles: Sequence[Running], *, amount: int = EACH) -> None:
    """A quota of each customer, which all of them know of."""
    terms = {**TERMS, "amount": amount, "algorithm": {"kind": "lifetime"}}
    assert throttles[0].put("each", **terms).status_code == 200
    within(60, lambda: [total(each, "limits") for each in throttles] == [1] * len(throttles))


def held(*throttles: Running) -> list[float]:
    return [total(each, "partitions") for each in throttles]


def total(throttle: Running, name: str) -> float:
    told = throttle.http.get("/metrics").text
    found = re.search(rf"^midstage_throttle_{re.escape(name)} (\S+)$", told, re.M)
    return float(found[1]) if found else 0.0


def body(customer: str) -> dict[str, object]:
    return {"customer": customer, "app": "chat", "units": {"requests": 1}}


def checked(throttle: Running, customer: str, path: str) -> object:
    return throttle.http.post(path, json=body(customer)).json()["admitted"]


def ended(customer: str) -> dict[str, object]:
    return {"request": f"of-{customer}", **body(customer)}


def asking(customers: Sequence[str]) -> dict[str, object]:
    asks = [{"customer": each, "apps": {"chat": {"requests": 1.0}}} for each in customers]
    return {"holder": "edge", "asks": asks}


def left(throttle: Running, customer: str) -> list[int]:
    limits = throttle.http.get(f"/v1/customers/{customer}/limits").json()["limits"]
    return [each["remaining"] for each in limits]


def post(throttle: Running, path: str, what: object, *, forwarded: str = "") -> int:
    headers = {"x-midstage-forwarded": forwarded} if forwarded else {}
    return throttle.http.post(path, json=what, headers=headers).status_code


def ghost(number: int, *, epoch: int) -> CustomersTaken:
    return CustomersTaken(
        partition=number,
        owner="throttle/ghost",
        epoch=epoch,
        address=f"127.0.0.1:{free_port()}",
        http_address=f"127.0.0.1:{free_port()}",
        at=SystemClock().now(),
    )


def write(log: Log, type_: str, fact: CustomersTaken) -> None:
    event: Event[Fact] = Event(
        id=f"{fact.owner}/{fact.partition}", source="test", type=type_, time=fact.at, data=fact
    )
    record = message(event, topic=topics.SPENDS.name, key="taken")
    put(log, msgspec.structs.replace(record, partition=fact.partition))


def epochs(log: Log, kind: type[CustomersTaken | CustomersLeft]) -> set[tuple[int, int]]:
    """Of what stands in the log of that kind, by partition: a holder says again that it holds."""
    return {(fact.partition, fact.epoch) for fact in read(log, kind)}


def read(
    log: Log, kind: type[CustomersTaken | CustomersLeft]
) -> Iterator[CustomersTaken | CustomersLeft]:
    """What stands in the log of that kind."""
    decoder = Decoder(topics.SPENDS)
    places = log.partitions(topics.SPENDS.name)
    reader = log.reader(dict.fromkeys(places, BEGINNING))
    ends = log.ends(places)
    try:
        while any(reader.positions()[place] < end for place, end in ends.items()):
            for record in reader.poll(most=1000, timeout_s=1.0):
                fact = decoder(record).data
                if isinstance(fact, kind):
                    yield fact
    finally:
        reader.close()
