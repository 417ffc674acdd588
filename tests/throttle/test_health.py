"""``grpc.health.v1``: what a probe is told."""

import pytest

from midstage.throttle.adapters.health import calls
from midstage.throttle.adapters.http2.calls import CallError, Status

(CHECK,) = calls("midstage.Checks").values()


@pytest.mark.parametrize("asked", [b"", b"\x0a\x0fmidstage.Checks", b"\x0a\x00"])
def test_who_is_served_is_serving(asked: bytes) -> None:
    assert CHECK(asked, None) == b"\x08\x01"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"\x0a\x05other", Status.NOT_FOUND),
        (b"\x0a\x09short", Status.INVALID_ARGUMENT),
        (b"\x12", Status.INVALID_ARGUMENT),
    ],
)
def test_nobody_else_is(asked: bytes, status: Status) -> None:
    with pytest.raises(CallError) as refused:
        CHECK(asked, None)
    assert refused.value.status is status
