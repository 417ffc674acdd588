"""What an answer says of limits; nobody is told to come back too early."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.limits.headers import (
    Cause,
    Policy,
    State,
    old_headers,
    problem,
    rate_limit,
    rate_limit_policy,
    retry_after,
    seconds_up,
)

SECOND = 10**9


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Policy(name="a", quota=10, window_ns=60 * SECOND), '"a";q=10;w=60'),
        (Policy(name="a", quota=10, window_ns=SECOND - 1), '"a";q=10'),
        (Policy(name="a", quota=10, window_ns=SECOND + 1), '"a";q=10;w=2'),
        (Policy(name="a", quota=0), '"a";q=0'),
        (Policy(name="a", quota=1, unit="content-bytes"), '"a";q=1;qu="content-bytes"'),
        (Policy(name="a", quota=1, unit="bytes"), '"a";q=1;qu="content-bytes"'),
        (Policy(name="a", quota=1, unit="concurrency"), '"a";q=1;qu="concurrent-requests"'),
        (Policy(name="a", quota=1, unit="tokens"), '"a";q=1;qu="tokens"'),
        (Policy(name="a", quota=1, partition=b"key"), '"a";q=1;pk=:a2V5:'),
        (Policy(name='a"\\b', quota=1), '"a\\"\\\\b";q=1'),
        (Policy(name="ä\n", quota=1), '"??";q=1'),
    ],
)
def test_a_policy_as_the_draft_writes_it(policy: Policy, text: str) -> None:
    assert rate_limit_policy([policy]) == text


def test_several_policies_and_states_are_a_list() -> None:
    policies = [Policy(name="hour", quota=10, window_ns=3600 * SECOND), Policy(name="b", quota=1)]
    states = [State(name="hour", remaining=3, reset_ns=1), State(name="b", remaining=-4)]
    assert rate_limit_policy(policies) == '"hour";q=10;w=3600, "b";q=1'
    assert rate_limit(states) == '"hour";r=3;t=1, "b";r=0'


def test_old_clients_have_their_three_headers() -> None:
    policy, state = Policy(name="a", quota=10), State(name="a", remaining=-1, reset_ns=SECOND + 1)
    assert dict(old_headers(policy, state)) == {
        "x-ratelimit-limit": "10",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "2",
    }


@pytest.mark.parametrize(
    ("cause", "status", "fragment"),
    [
        (Cause.QUOTA_EXCEEDED, 429, "quota-exceeded"),
        (Cause.REDUCED_CAPACITY, 503, "temporary-reduced-capacity"),
        (Cause.ABNORMAL_USAGE, 429, "abnormal-usage-detected"),
    ],
)
def test_a_problem_says_its_cause_and_what_was_violated(
    cause: Cause, status: int, fragment: str
) -> None:
    document = problem(cause, ["daily"])
    assert document.status == status
    assert document.type == f"https://iana.org/assignments/http-problem-types#{fragment}"
    assert document.violated == ("daily",)


@given(st.integers(0, 10**13))
def test_seconds_are_never_too_early_and_less_than_one_too_late(wait_ns: int) -> None:
    assert wait_ns <= seconds_up(wait_ns) * SECOND < wait_ns + SECOND
    assert int(retry_after(wait_ns)) == max(1, seconds_up(wait_ns))
