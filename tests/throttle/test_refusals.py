"""What the API refuses, and what it says of it."""

import pytest

from tests.throttle.conftest import Running, problem


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 1.5},
        {"amount": "5"},
        {"amount": True},
        {"amount": None},
        {"amount": 10**12 + 1},
        {"amount": 10**400},
        {"algorithm": {"kind": "token_bucket", "period_s": 0}},
        {"algorithm": {"kind": "token_bucket", "period_s": 1e-9}},
        {"algorithm": {"kind": "token_bucket", "period_s": 1e300}},
        {"algorithm": {"kind": "token_bucket", "period_s": 1, "burst": 0}},
        {"algorithm": {"kind": "token_bucket", "period_s": 1, "burst": 10**12 + 1}},
        {"algorithm": {"kind": "token_bucket", "period_s": 1, "brust": 1}},
        {"algorithm": {"kind": "calendar", "every": "day", "zone": "Nowhere/Town"}},
        {"algorithm": {"kind": "calendar", "every": "hour"}},
        {"algorithm": {"kind": "guessing"}},
        {"algorithm": {}},
        {"unit": "Tokens"},
        {"unit": "x" * 65},
        {"strict": True, "shadow": True},
        {
            "strict": True,
            "unit": "concurrency",
            "algorithm": {"kind": "slots"},
        },
        {"overrides": ["x"] * 65},
        {"key": "a b"},
        {"plan": "*"},
        {"on_failure": {"amount": 1}},
        {"customer": ""},
        {"customer": "a*"},
        {"customer": "a b"},
        {"customer": "a\n"},
        {"app": ""},
        {"app": "x" * 129},
        {"on_failure": "maybe"},
        {"why": "x" * 501},
        {"brust": 10},
    ],
)
def test_what_is_no_limit_is_refused(throttle: Running, changed: dict[str, object]) -> None:
    problem(throttle.put("refused", **changed), 422)
    assert throttle.http.get("/v1/limits/refused").status_code == 404


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"algorithm": {"kind": "guessing"}},
            "algorithm.kind: Invalid value 'guessing', none of token_bucket, leaky_bucket, "
            "gcra, fixed_window, moving_window, sliding_counter, calendar, lifetime, slots",
        ),
        (
            {"algorithm": {"kind": "calendar", "every": "hour"}},
            "algorithm.every: Invalid enum value 'hour', none of day, month, week, year",
        ),
        ({"on_failure": "maybe"}, "on_failure: Invalid enum value 'maybe', none of closed, open"),
    ],
)
def test_a_word_that_is_not_known_is_refused_with_those_that_are(
    throttle: Running, changed: dict[str, object], said: str
) -> None:
    assert problem(throttle.put("refused", **changed), 422) == said


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"amount": NaN}', 400),
        (b"\xff", 400),
        (b'{"x":' + b"[" * 10_000, 400),
        (b" " * 65_537, 413),
    ],
)
def test_what_is_no_json_is_refused(throttle: Running, body: bytes, status: int) -> None:
    sent = throttle.http.put(
        "/v1/limits/refused", content=body, headers={"content-type": "application/json"}
    )
    problem(sent, status)


@pytest.mark.parametrize("name", ["Upper", "a b", "a" * 65, "-a", "ä", '"', "a;r=5"])
def test_a_limits_name_fits_into_a_header(throttle: Running, name: str) -> None:
    problem(throttle.put(name), 422)


@pytest.mark.parametrize("command_id", ["", "a b", "x" * 129, 'a"b'])
def test_a_command_id_is_a_word(throttle: Running, command_id: str) -> None:
    problem(throttle.put("worded", command_id), 422)


@pytest.mark.parametrize(
    "body", [{}, {"plan": ""}, {"plan": "a b"}, {"plan": 1}, {"plan": "a", "x": 1}]
)
def test_what_is_no_plan_is_refused(throttle: Running, body: dict[str, object]) -> None:
    problem(throttle.http.put("/v1/customers/tina/plan", json=body), 422)
    problem(throttle.http.get("/v1/customers/tina/plan"), 404)
