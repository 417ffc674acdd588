"""Limits that ask for labels: whom they hold for, and what labels may cost."""

from collections.abc import Mapping

import pytest
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.algorithms import LifetimeQuota, TokenBucket
from midstage.contracts.errors import RefusedError
from midstage.contracts.limits import LimitSet, Terms
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from midstage.throttle.adapters.questions import Questions
from midstage.throttle.decide import terms
from midstage.throttle.model.checks import UNLABELLED, Check, Ended, Judged
from midstage.throttle.model.limits import Standing, limit_key
from midstage.throttle.views.book import Book
from midstage.throttle.views.matches import Matches
from tests.throttle.conftest import ONCE, Running
from tests.throttle.gated import Held, gate_over

LARGE = {"model": "large"}


def test_a_limit_holds_for_requests_that_have_all_its_labels() -> None:
    book = of(
        limited("all"),
        limited("large", match=LARGE),
        limited("large-eu", match={"region": "eu", **LARGE}),
        limited("bolts", customer="bolt", match=LARGE),
    )
    assert met(book, {}) == ["all"]
    assert met(book, {"model": "small", "region": "eu"}) == ["all"]
    assert met(book, LARGE) == ["all", "large"]
    assert met(book, {"region": "eu", "who": "cares", **LARGE}) == ["all", "large", "large-eu"]
    assert met(book, LARGE, customer="bolt") == ["all", "bolts", "large"]


def test_an_override_with_labels_leaves_the_other_requests_alone() -> None:
    own = limited("own", customer="acme", match=LARGE, overrides=("all",))
    book = of(limited("all"), own)
    assert met(book, LARGE) == ["own"]
    assert met(book, {}) == met(book, LARGE, customer="bolt") == ["all"]


def test_a_limit_that_is_changed_or_removed_asks_for_its_old_labels_no_more() -> None:
    book = of(limited("one", match=LARGE))
    book.take_over(states(limited("one", match={"model": "small"})))
    assert met(book, LARGE) == []
    assert met(book, {"model": "small"}) == ["one"]
    book.take_over({limit_key("one"): Standing()})
    assert met(book, {"model": "small"}) == []


def test_labels_that_no_limit_asks_for_are_not_remembered() -> None:
    book = of(limited("all"), limited("large", match=LARGE))
    for number in range(100):
        assert met(book, {"model": f"made-up-{number}", f"label-{number}": "large"}) == ["all"]
    assert book.kept == 1


def test_look_ups_grow_with_the_names_that_limits_ask_for_and_not_with_the_limits() -> None:
    matches = Matches()
    for number in range(1000):
        matches.add((("tenant", f"t{number}"),))
        matches.add((("region", "eu"), ("tenant", f"t{number}")))
    known = matches.known({"tenant": "t7", "region": "eu", "model": "large"})
    assert list(matches.fulfilled(known)) == [
        (),
        (("tenant", "t7"),),
        (("region", "eu"), ("tenant", "t7")),
    ]


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))


@given(st.lists(labels, max_size=12), st.lists(labels, max_size=6), labels)
def test_what_is_found_is_what_a_look_at_each_limit_finds(
    stand: list[dict[str, str]], gone: list[dict[str, str]], request: dict[str, str]
) -> None:
    here = [limited(f"here-{at}", match=match) for at, match in enumerate(stand)]
    others = states(*(limited(f"gone-{at}", match=match) for at, match in enumerate(gone)))
    book = Book({**states(*here), **others})
    book.take_over(dict.fromkeys(others, Standing()))

    assert met(book, request) == sorted(
        limit.limit for limit in here if limit.match.items() <= request.items()
    )


def test_it_is_judged_and_settled_with_the_others_in_one_step() -> None:
    tokens = LimitSet(
        limit="tokens", unit="tokens", amount=10, algorithm=LifetimeQuota(), match=LARGE, at=NOON
    )
    everywhere = LimitSet(limit="any", amount=2, algorithm=LifetimeQuota(), at=NOON)
    gate, _ = gate_over(Held(tokens, everywhere), clock=lambda: 0)
    gate.follow()

    def passes(request: str, labels: Mapping[str, str], tokens: int) -> bool:
        asked = Check(
            customer="acme", app="chat", request=request, labels=labels, units={"tokens": tokens}
        )
        judged = gate.check(asked, None)
        assert isinstance(judged, Judged)
        return judged.admitted

    assert not passes("a", LARGE, 11)
    assert passes("b", LARGE, 10)
    assert not passes("c", LARGE, 1)
    gate.settle(Ended(request="b", customer="acme", app="chat", used={"tokens": 4}))
    gate.settle(
        Ended(request="unknown", customer="acme", app="chat", labels=LARGE, used={"tokens": 6})
    )
    assert {limit.limit: left.remaining for limit, left in gate.left("acme", None, "")} == {
        "any": 1,
        "tokens": 0,
    }
    assert passes("d", {}, 10)


def test_what_a_descriptor_says_beside_whom_it_is_of_are_labels() -> None:
    questions = Questions()
    for request in ("r-1", "r-2"):
        check = questions.check(
            asked(
                customer="acme",
                app="chat",
                request_id=request,
                key="ci",
                **{"units.tokens": "5", "model": "large", "Region": "eu"},
            )
        )
        assert check == Check(
            customer="acme",
            app="chat",
            request=request,
            key="ci",
            units={"tokens": 5},
            labels={"model": "large", "Region": "eu"},
        )


@pytest.mark.parametrize(
    ("match", "told"),
    [
        ({"customer": "acme"}, "match: customer is no label"),
        ({"request_id": "r"}, "match: request_id is no label"),
        ({"units.tokens": "5"}, "match: units.tokens is an estimate"),
        ({"model": "*"}, "match.model: a label has to have one value"),
    ],
)
def test_what_is_no_label_can_not_be_asked_for(match: dict[str, str], told: str) -> None:
    wanted = Terms(amount=5, algorithm=TokenBucket(period_s=1.0), match=match)
    with pytest.raises(RefusedError, match=told):
        terms.check("one", wanted)


def test_whoever_sets_and_foresees_says_labels_in_json(throttle: Running) -> None:
    throttle.put("mia-large", customer="mia", app="*", match=LARGE, **ONCE)

    def foreseen(labels: Mapping[str, str]) -> list[str]:
        body = {"customer": "mia", "app": "chat", "labels": labels, "units": {"requests": 2}}
        answer = throttle.http.post("/v1/checks/foreseen", json=body)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["violated"])

    within(60, lambda: foreseen(LARGE) == ["mia-large"])
    assert foreseen({}) == foreseen({"model": "small"}) == []
    assert throttle.http.get("/v1/limits/mia-large").json()["match"] == LARGE
    (left,) = throttle.http.get("/v1/customers/mia/limits").json()["limits"]
    assert left["because"] == "customer mia, all applications together, with model large"
    for wrong in ({"": "x"}, {"a b": "x"}, {"a": ""}, {f"l{n}": "x" for n in range(9)}):
        assert throttle.put("mia-wrong", customer="mia", match=wrong).status_code == 422


def limited(
    name: str,
    *,
    customer: str = "*",
    match: Mapping[str, str] = UNLABELLED,
    overrides: tuple[str, ...] = (),
) -> LimitSet:
    return LimitSet(
        limit=name,
        customer=customer,
        match=dict(match),
        amount=1,
        algorithm=TokenBucket(period_s=1.0),
        overrides=overrides,
        at=NOON,
    )


def states(*facts: LimitSet) -> Mapping[str, Standing]:
    return {limit_key(fact.limit): Standing(fact=fact) for fact in facts}


def of(*facts: LimitSet) -> Book:
    return Book(states(*facts))


def met(book: Book, labels: Mapping[str, str], customer: str = "acme") -> list[str]:
    meeting = book.met(customer, "", "chat", labels)
    return [limit.limit for limit in meeting.limits] if meeting else []


def asked(**entries: str) -> bytes:
    question = rls_pb2.RateLimitRequest(domain="midstage")
    descriptor = question.descriptors.add()
    for key, value in entries.items():
        descriptor.entries.add(key=key, value=value)
    return bytes(question.SerializeToString())
