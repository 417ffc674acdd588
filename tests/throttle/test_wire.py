"""Remembered questions are read as protobuf reads them; answers are what it would write."""

from collections.abc import Callable

import pytest
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.algorithms import TokenBucket
from midstage.contracts.errors import RefusedError
from midstage.contracts.limits import LimitSet
from midstage.limits.headers import retry_after, seconds_up
from midstage.testkit.clock import NOON
from midstage.throttle.adapters.answers import PASS, encoded
from midstage.throttle.adapters.imported.protocol import RateLimitRequest
from midstage.throttle.adapters.questions import MOST_KNOWN, Questions, decoded
from midstage.throttle.model.checks import Check, Judged, Left
from midstage.throttle.views.book import meeting_of
from tests.throttle.gated import OK, OVER_LIMIT, sent

SECOND = 1_000_000_000
TEXT = st.text(max_size=40)
NAMES = st.sampled_from(["customer", "app", "request_id", "key", "units.tokens", "request_id\x12"])
IDS = st.sampled_from(["7f0c", "93ab", "", "é", "\n\nrequest_id\x12\x04", "x" * 200])
WHOSE = st.sampled_from(["acme", "blue", "", "é", "customer", "\n\x08customer\x12\x04", "y" * 200])
AMOUNTS = st.integers(min_value=-5, max_value=10**12)
WAITS = st.none() | st.integers(min_value=0, max_value=10**15)


def asked(entries: list[tuple[str, str]], hits: int = 0) -> bytes:
    """Of 3 hits: that the request is over."""
    message = RateLimitRequest(domain="midstage", hits_addend=hits)
    descriptor = message.descriptors.add(is_negative_hits=hits == 3)
    for key, value in entries:
        descriptor.entries.add(key=key, value=value)
    return bytes(message.SerializeToString())


def plain(request: str, customer: str = "acme") -> bytes:
    return asked([("customer", customer), ("app", "chat"), ("request_id", request)])


def outcome(read: Callable[[bytes], Check | None], request: bytes) -> Check | str | None:
    """The check, or what kind of error there is; its words where they are ours."""
    try:
        return read(request)
    except DecodeError:
        return "no message"
    except RefusedError as e:
        return str(e)


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(NAMES, TEXT | IDS), min_size=1, max_size=5),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.tuples(WHOSE, IDS), min_size=2, max_size=4),
)
def test_whatever_was_asked_before_a_question_is_read_as_protobuf_reads_it(
    forms: list[tuple[list[tuple[str, str]], int]], asking: list[tuple[str, str]]
) -> None:
    questions = Questions()
    for entries, hits in forms:
        whole = [("customer", ""), ("app", "chat"), *entries]
        for customer, name in asking:
            said = {"customer": customer, "request_id": name}
            request = asked([(key, said.get(key, value)) for key, value in whole], hits)
            assert outcome(questions.check, request) == outcome(decoded, request)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_bytes_that_are_no_question_are_refused_though_their_beginning_is_known(
    noise: bytes, cut: int
) -> None:
    questions = Questions()
    known = plain("7f0c-93ab")
    questions.check(known)
    for request in (known[:cut], known + noise, known[:cut] + noise + known[cut:]):
        assert outcome(questions.check, request) == outcome(decoded, request)


def test_an_id_that_is_no_text_is_refused() -> None:
    questions = Questions()
    known = plain("abcd")
    assert questions.check(known) == decoded(known)
    with pytest.raises(DecodeError):
        questions.check(known.replace(b"abcd", b"ab\xff\xff"))


def test_a_customer_that_is_no_text_is_refused() -> None:
    questions = Questions()
    known = plain("abcd")
    assert questions.check(known) == decoded(known)
    with pytest.raises(DecodeError):
        questions.check(known.replace(b"acme", b"ac\xff\xff"))


def test_requests_are_known_by_one_of_their_form_and_no_form_fills_the_memory() -> None:
    questions = Questions()
    for number in range(100):
        questions.check(plain(f"{number:04}", customer=f"customer-{number:06}"))
    assert len(questions) == 1
    for number in range(MOST_KNOWN + 10):
        questions.check(
            asked([("customer", "acme"), ("app", f"app-{number}"), ("request_id", "7f0c")])
        )
    assert len(questions) <= MOST_KNOWN
    before = len(questions)
    long = [("customer", "acme"), ("app", "chat"), ("request_id", "7f0c"), ("note", "x" * 2_000)]
    assert questions.check(asked(long)) is not None
    assert len(questions) == before
    questions.check(asked([("customer", "acme"), ("app", "chat")]))
    assert len(questions) <= MOST_KNOWN


@given(
    st.lists(st.tuples(AMOUNTS, WAITS, st.booleans()), min_size=1, max_size=4),
    st.booleans(),
    WAITS,
)
def test_answers_are_what_protobuf_would_write(
    found: list[tuple[int, int | None, bool]], admitted: bool, wait_ns: int | None
) -> None:
    limits = [
        LimitSet(
            limit=f"limit é-{number}",
            amount=5,
            algorithm=TokenBucket(period_s=60.0),
            shadow=shadow,
            at=NOON,
        )
        for number, (_, _, shadow) in enumerate(found)
    ]
    violated = () if admitted else (limits[0].limit,)
    judged = Judged(
        admitted=admitted,
        meeting=meeting_of(limits),
        left=[Left(remaining=remaining, wait_ns=wait) for remaining, wait, _ in found],
        violated=violated,
        wait_ns=0 if admitted else wait_ns,
    )
    expected = rls_pb2.RateLimitResponse(overall_code=OK if admitted else OVER_LIMIT)
    told = [(left, wait, n) for n, (left, wait, shadow) in enumerate(found) if not shadow]
    least = min((max(0, left) for left, _, _ in told), default=0)
    expected.statuses.add(code=expected.overall_code, limit_remaining=min(least, 2**32 - 1))
    answer = rls_pb2.RateLimitResponse.FromString(encoded(judged))
    assert answer.overall_code == expected.overall_code
    assert list(answer.statuses) == list(expected.statuses)
    assert list(answer.dynamic_metadata["violated"] if violated else ()) == list(violated)
    headers = (
        {}
        if not told
        else {
            "RateLimit": ", ".join(
                f'"limit ?-{n}";r={max(0, left)}' + (f";t={seconds_up(wait)}" if wait else "")
                for left, wait, n in told
            ),
            "RateLimit-Policy": ", ".join(f'"limit ?-{n}";q=5;w=60' for _, _, n in told),
        }
    )
    if told and not admitted and wait_ns is not None:
        headers["Retry-After"] = retry_after(wait_ns)
    assert sent(answer) == headers


def test_who_meets_no_limit_passes() -> None:
    assert encoded(None) == PASS
    assert rls_pb2.RateLimitResponse.FromString(PASS).overall_code == OK
