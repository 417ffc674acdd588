"""Reservations that move with their customers: the end of a request settles what it reserved."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import pytest

from midstage.chassis.clock import SystemClock
from midstage.contracts import topics
from midstage.contracts.algorithms import LifetimeQuota
from midstage.contracts.fact import LONGEST_NAME, Event
from midstage.contracts.limits import LimitSet
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.contracts.spends import (
    LONGEST_REQUEST,
    MOST_RESERVATIONS,
    CustomersLeft,
    CustomersTaken,
    ReservationsLeft,
)
from midstage.eventlog import codec
from midstage.eventlog.log import Message
from midstage.eventlog.topics import settings_of
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from midstage.throttle.decide.holders import Heard
from midstage.throttle.decide.spends import Said, Spends
from midstage.throttle.model.checks import Check, Judged
from midstage.throttle.stream.gate import REMEMBERED_S
from midstage.throttle.stream.moving import MOST_MOVED
from tests.throttle.conftest import Running, memory, running
from tests.throttle.logged import put
from tests.throttle.test_settling import SLOTS, Story

TOKENS = LimitSet(limit="tokens", unit="tokens", amount=100, algorithm=LifetimeQuota(), at=NOON)
LEFT = CustomersLeft(partition=2, owner="one", epoch=4, at=NOON)


def left_by(story: Story, customer: str = "acme") -> Sequence[ReservationsLeft]:
    """What it says as it leaves, as the log has it."""
    said = story.gate.moving.reserved(lambda each: each == customer, LEFT)
    decode = msgspec.json.Decoder(ReservationsLeft).decode
    return [decode(msgspec.json.encode(each)) for each in said]


def after(first: Story, facts: Iterable[ReservationsLeft], *limits: LimitSet) -> Story:
    """A successor whose counters stand as the first one's: all that was reserved is used."""
    second = Story(*(limits or (TOKENS,)))
    second.now_ns = first.now_ns
    used = 100 - first.left["tokens"]
    second.ends("before", tokens=used)
    second.gate.moving.resume(facts)
    return second


def test_what_was_reserved_is_settled_by_whoever_counts_when_the_request_ends() -> None:
    first = Story(TOKENS)
    assert first.asks("less", 30)
    assert first.asks("more", 20)
    second = after(first, left_by(first))
    assert second.left["tokens"] == 50
    second.ends("less", tokens=10)
    second.ends("less", tokens=10)
    assert second.left["tokens"] == 70
    second.ends("more", tokens=25)
    assert second.left["tokens"] == 65
    assert second.asks("less", 30), "it is over: nothing is reserved for it again"
    assert second.left["tokens"] == 65


def test_what_was_settled_before_a_move_is_settled() -> None:
    first = Story(TOKENS)
    assert first.asks("a", 30)
    first.ends("a", tokens=10)
    second = after(first, left_by(first))
    second.ends("a", tokens=10)
    assert second.left["tokens"] == 90
    second.later(REMEMBERED_S + 1)
    second.ends("a", tokens=10)
    assert second.left["tokens"] == 80, "so long nobody is remembered"


def test_what_never_ends_comes_back_when_its_first_time_is_up() -> None:
    first = Story(TOKENS)
    assert first.asks("a", 30)
    first.later(3000)
    assert first.asks("b", 20)
    second = after(first, left_by(first))
    assert second.asks("c", 1)
    second.later(601)
    assert second.left["tokens"] == 79
    second.later(3000)
    assert second.left["tokens"] == 100


def test_who_asks_again_after_a_move_reserves_nothing_more() -> None:
    first = Story(TOKENS, SLOTS)
    assert first.asks("a", 30)
    second = after(first, left_by(first), TOKENS, SLOTS)
    assert second.asks("a", 30)
    assert second.left["tokens"] == 70


def test_customers_that_stay_are_nobody_elses_concern() -> None:
    first = Story(TOKENS)
    assert first.asks("a", 30)
    assert left_by(first, "umbrella") == []


def test_who_counts_again_goes_by_what_the_others_left_alone() -> None:
    """What it knew of requests is old: others may have settled them."""
    first = Story(TOKENS)
    assert first.asks("a", 30)
    first.gate.moving.forget(lambda _: True)
    first.ends("before", tokens=10)  # others found that it used 10
    first.ends("a", tokens=4)
    assert first.left["tokens"] == 100 - 10 - 4, "charged in full, nothing comes back"


def test_a_limit_that_is_gone_settles_nothing() -> None:
    first = Story(TOKENS)
    assert first.asks("a", 30)
    second = Story(SLOTS)
    second.gate.moving.resume(left_by(first))
    second.ends("a", tokens=10)
    assert second.left == {"slots": 2}


@pytest.mark.parametrize("customer", ["", "x" * (LONGEST_NAME + 1)])
def test_who_has_no_name_that_can_be_written_spoils_nobody_elses_record(customer: str) -> None:
    first = Story(TOKENS)
    assert first.asks("a", 30)
    check = Check(customer=customer, app="chat", request="b", units={"tokens": 5})
    judged = first.gate.check(check, None)
    assert isinstance(judged, Judged)
    assert judged.admitted
    said = first.gate.moving.reserved(lambda _: True, LEFT)
    assert [each.request for fact in said for each in fact.reservations] == ["a"]


def test_of_very_many_the_youngest_move_in_records_of_a_bounded_size() -> None:
    first = Story(msgspec.structs.replace(TOKENS, amount=10**9))
    many = MOST_MOVED + 7
    assert first.asks("x" * (LONGEST_REQUEST + 1), 1)
    for number in range(many):
        assert first.asks(f"request {number}", 1)
    facts = left_by(first)
    assert [fact.part for fact in facts] == list(range(MOST_MOVED // MOST_RESERVATIONS))
    named = [each.request for fact in facts for each in fact.reservations]
    assert named == [f"request {number}" for number in range(7, many)]
    assert max(len(msgspec.json.encode(fact)) for fact in facts) < topics.EVENT_BYTES


def reserved(part: int = 0, epoch: int = 4, owner: str = "one") -> ReservationsLeft:
    return ReservationsLeft(partition=2, owner=owner, epoch=epoch, part=part, at=NOON)


def taking(owner: str, epoch: int) -> CustomersTaken:
    return CustomersTaken(partition=2, owner=owner, epoch=epoch, at=NOON)


ONE, TWO = taking("one", 4), taking("two", 5)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ([ONE, reserved(0), reserved(1), LEFT, TWO], [reserved(0), reserved(1)]),
        ([ONE, reserved(1), reserved(0), reserved(1), LEFT, TWO], [reserved(0), reserved(1)]),
        ([ONE, reserved(0), TWO], []),
        ([taking("none", 3), reserved(0, 3, "none"), ONE, LEFT, TWO], []),
        ([reserved(1, 3, "none"), ONE, reserved(0), LEFT, TWO], [reserved(0)]),
        ([ONE, reserved(0), LEFT, TWO, taking("three", 6)], []),
        ([ONE, reserved(0), LEFT, TWO, TWO], [reserved(0)]),
    ],
)
def test_what_is_left_is_for_the_next_one_alone(
    said: Sequence[Said], found: Sequence[ReservationsLeft]
) -> None:
    log = Spends()
    for fact in said:
        assert log.apply(fact, 2) is Heard.COUNTS
    assert log.holders.inherited(2) == found


def test_who_was_replaced_leaves_nothing() -> None:
    log = Spends()
    for fact in (ONE, TWO):
        assert log.apply(fact, 2) is Heard.COUNTS
    assert log.apply(reserved(), 2) is Heard.OVER
    assert log.apply(taking("three", 6), 2) is Heard.COUNTS
    assert log.holders.inherited(2) == []


@pytest.mark.slow
def test_a_throttle_goes_on_with_what_another_one_reserved(tmp_path: Path) -> None:
    log = memory()
    log.create(settings_of(topics.REQUESTS))
    keys = tmp_path / "edge-keys"
    keys.write_text("{}")
    keys.chmod(0o600)
    terms = {
        "customer": "acme",
        "unit": "tokens",
        "amount": 1000,
        "algorithm": {"kind": "lifetime"},
    }
    with running(log, topics.LIMITS, tmp_path, edge_keys=keys) as first:
        assert first.put("tokens", **terms).status_code == 200
        within(60, lambda: left(first) == 1000)
        for request in ("told", "meanwhile", "later"):
            body = {"customer": "acme", "app": "chat", "request": request, "units": {"tokens": 100}}
            assert first.http.post("/v1/checks", json=body).status_code == 200
        body = {"request": "told", "customer": "acme", "app": "chat", "units": {"tokens": 30}}
        assert first.http.post("/v1/settlements", json=body).is_success
        assert left(first) == 1000 - 30 - 100 - 100
    put(log, ended("meanwhile", tokens=20), ended("told", tokens=30))
    with running(log, topics.LIMITS, tmp_path, edge_keys=keys) as second:
        within(60, lambda: left(second) == 1000 - 30 - 20 - 100)
        put(log, ended("told", tokens=30), ended("later", tokens=10))
        within(60, lambda: left(second) == 1000 - 30 - 20 - 10)


def ended(request: str, *, tokens: int) -> Message:
    fact = RequestCompleted(
        app="chat",
        customer="acme",
        status=200,
        outcome=Outcome.OK,
        duration_ms=1,
        usage={"tokens": tokens},
    )
    at = SystemClock().now()
    event = Event(id=request, source="sdk/one", type=REQUEST_COMPLETED, time=at, data=fact)
    return codec.message(event, topic=topics.REQUESTS.name, key="sdk/one")


def left(throttle: Running) -> int:
    """Tokens; less than nothing while nobody can say so."""
    answer = throttle.http.get("/v1/customers/acme/limits")
    if answer.status_code != 200:
        return -1
    found = [each["remaining"] for each in answer.json()["limits"] if each["limit"] == "tokens"]
    return int(found[0]) if found else -1
