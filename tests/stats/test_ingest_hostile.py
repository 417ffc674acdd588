"""No body, however made, is a server's error."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .posting import DATA, JSON, MANY, ONE, Ways, event

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
