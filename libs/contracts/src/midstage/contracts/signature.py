"""Who wrote a numbered record: HMAC-SHA256 over the source and the bytes, one key per edge.

A Kafka record carries no identity, and a forged number would make the true row vanish. Keys live
in a file of mode 0600 (JSON: edge name to hex key) that the edge and stats read.
"""

import hashlib
import hmac
from collections.abc import Mapping

HEADER = "ms-sig"
KEY_BYTES = 32


def sign(*, key: bytes, source: str, value: bytes) -> bytes:
    """The header's value: lower-case hex of HMAC-SHA256 over ``source``, a zero byte, ``value``."""
    mac = hmac.new(key, source.encode() + b"\0", hashlib.sha256)
    mac.update(value)
    return mac.hexdigest().encode()


def genuine(
    *, keys: Mapping[str, bytes], edge: str, source: str, value: bytes, signature: bytes | None
) -> bool:
    """Whether ``signature`` is that of ``edge`` over ``source`` and ``value``, in constant time."""
    key = keys.get(edge)
    if key is None or signature is None:
        return False
    return hmac.compare_digest(sign(key=key, source=source, value=value), signature)
