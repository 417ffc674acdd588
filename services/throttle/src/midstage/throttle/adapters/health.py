"""``grpc.health.v1.Health``: whoever can ask is served, for the port opens only then.

``Watch`` is not served, as the protocol allows: callers fall back to ``Check``.
"""

from collections.abc import Mapping
from typing import Final

from midstage.throttle.adapters.http2.calls import Answer, CallError, Status

_CHECK: Final = b"/grpc.health.v1.Health/Check"
_SERVING: Final = b"\x08\x01"
_NAME: Final = 0x0A


def calls(*services: str) -> Mapping[bytes, Answer]:
    """The call by its path, for the server itself (no name) and these services."""
    known = frozenset({b"", *(name.encode() for name in services)})

    def check(message: bytes, _remaining_s: float | None) -> bytes:
        if _service(message) not in known:
            raise CallError(Status.NOT_FOUND, "no such service")
        return _SERVING

    return {_CHECK: check}


def _service(message: bytes) -> bytes:
    """The name in a HealthCheckRequest, which has nothing else."""
    if not message:
        return b""
    if len(message) < 2 or message[0] != _NAME or message[1] != len(message) - 2:
        raise CallError(Status.INVALID_ARGUMENT, "not a HealthCheckRequest")
    return message[2:]
