"""No body, however made, is a server's error."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .posting import DATA, JSON, MANY, ONE, Ways, event, refused

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from([*event(), *DATA]) | st.text(), values) | values
near = st.builds(
    lambda at, value, data: event(data={**DATA, **data}) | {at: value},
    st.sampled_from([*event(), "midstageseq", "subject"]),
    values,
    st.dictionaries(st.sampled_from([*DATA, "labels", "units"]), values, max_size=2),
)


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    body=(documents | near | st.lists(near, max_size=3)).map(lambda v: json.dumps(v).encode())
    | st.binary(max_size=60),
    kind=st.sampled_from([ONE, MANY, JSON, "text/plain"]),
    encoding=st.sampled_from(["", "", "gzip", "zstd"]),
    detail=st.booleans(),
)
@pytest.mark.slow
def test_no_body_makes_a_server_error(
    way: Ways, body: bytes, kind: str, encoding: str, detail: bool
) -> None:
    answer = way.post(
        body,
        kind,
        query=f"?detail={detail}",
        **({"content_encoding": encoding} if encoding else {}),
    )
    assert answer.status_code in (200, 204, 400, 413, 415), answer.text


def written(amount: str) -> bytes:
    """An event with that many input tokens, to the digit."""
    return json.dumps(event()).replace('"input_tokens": 3', f'"input_tokens": {amount}').encode()


@pytest.mark.parametrize(
    ("amount", "why"),
    [
        ("1e-400", "more than six decimals"),
        ("1e-9999999", "more than six decimals"),
        (f"1e-{'9' * 30}", "more than six decimals"),
        (f"0.{'0' * 400}1", "more than six decimals"),
        ("500000000000.000001", "would count as 500000000000.0"),
        ("8589934592.000001", "would count as 8589934592.000002"),
    ],
)
def test_an_amount_that_would_count_as_another_one_is_refused(
    way: Ways, amount: str, why: str
) -> None:
    answer = way.post(written(amount), ONE)
    assert refused(answer) == (0, "/data/usage/input_tokens")
    assert why in answer.text
    assert way.records() == []


@pytest.mark.parametrize("amount", ["0.30000000000000004", "8589934591.999999", "1.5e3", "-0.0"])
def test_an_amount_that_a_double_holds_or_that_is_a_sum_of_them_is_taken(
    way: Ways, amount: str
) -> None:
    assert way.post(written(amount), ONE).status_code == 204
    (record,) = way.records()
    assert record.value == written(amount)
