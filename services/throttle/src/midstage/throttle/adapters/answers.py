"""What limits say, as a ``RateLimitResponse``: written as bytes, for most of it is always the same.

protobuf makes an object for each header and takes four times as long. Only what few answers have,
the metadata of a refusal, is left to it: messages one after the other are one message.
"""

from functools import lru_cache
from typing import Final

from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)

from midstage.limits.headers import retry_after
from midstage.throttle.model.checks import Judged

_OK: Final[int] = rls_pb2.RateLimitResponse.OK
_OVER_LIMIT: Final[int] = rls_pb2.RateLimitResponse.OVER_LIMIT
PASS: Final[bytes] = rls_pb2.RateLimitResponse(
    overall_code=_OK, statuses=[rls_pb2.RateLimitResponse.DescriptorStatus(code=_OK)]
).SerializeToString()
"""The answer where no limit holds."""
_MOST_TOLD: Final = 2**32 - 1
_NS_PER_S: Final = 1_000_000_000
_SEVEN_BITS: Final = tuple(bytes([number]) for number in range(0x80))
_CODE: Final = {code: bytes((0x08, code)) for code in (_OK, _OVER_LIMIT)}
"""``overall_code``, and ``code`` of a status: field 1 of either."""
_STATUS, _LIMIT_REMAINING, _HEADER = b"\x12", b"\x18", b"\x1a"
_RATE_LIMIT: Final = b"\x0a\x09RateLimit\x12"
"""Of a header: its name, and what goes before the length of its value."""
_RATE_LIMIT_POLICY: Final = b"\x0a\x10RateLimit-Policy\x12"
_RETRY_AFTER: Final = b"\x0a\x0bRetry-After\x12"
_KEPT: Final = 16_384


def encoded(judged: Judged | None) -> bytes:
    """``RateLimit`` and ``RateLimit-Policy`` of the draft, and ``Retry-After`` where refused.

    ``Retry-After`` is the longest wait of those that refuse, and absent where the same request
    would never pass. A status tells what is left of the limit of which the least is. The metadata
    of a refusal has ``violated``, for the body that Envoy makes of it.
    """
    if judged is None:
        return PASS
    code = _CODE[_OK if judged.admitted else _OVER_LIMIT]
    states, least = _states(judged)
    status = code + _LIMIT_REMAINING + _varint(least)
    out = code + _STATUS + _SEVEN_BITS[len(status)] + status
    if states:
        out += _header(_RATE_LIMIT, states) + _policy(judged.meeting.policies)
    return out if judged.admitted else out + _refusal(judged, is_told=bool(states))


def _states(judged: Judged) -> tuple[str, int]:
    """The header ``RateLimit``, and the least that is left.

    ``r`` is what is left, ``t`` the seconds until more is (absent where there is all); of a limit
    that refuses, until the same request would pass.
    """
    told, least = [], _MOST_TOLD
    for left, begins in zip(judged.left, judged.meeting.states, strict=True):
        if not begins:
            continue
        remaining, wait_ns = left.remaining, left.wait_ns
        if remaining < least:
            least = remaining = max(0, remaining)
        after = f";t={-(-wait_ns // _NS_PER_S)}" if wait_ns else ""
        told.append(f"{begins}{remaining}{after}")
    return ", ".join(told), least if told else 0


def _refusal(judged: Judged, *, is_told: bool) -> bytes:
    out = b""
    if is_told and judged.wait_ns is not None:
        out += _header(_RETRY_AFTER, retry_after(judged.wait_ns))
    if judged.violated:
        response = rls_pb2.RateLimitResponse()
        response.dynamic_metadata["violated"] = list(judged.violated)
        out += response.SerializeToString()
    return out


def _header(name: bytes, value: str) -> bytes:
    text = value.encode()
    header = name + _varint(len(text)) + text
    return _HEADER + _varint(len(header)) + header


@lru_cache(maxsize=_KEPT)
def _policy(value: str) -> bytes:
    return _header(_RATE_LIMIT_POLICY, value)


def _varint(number: int) -> bytes:
    if number < 0x80:
        return _SEVEN_BITS[number]
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
