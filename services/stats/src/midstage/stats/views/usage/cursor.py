"""Where the next page begins, as a word that only this service can make.

It pins what the answer rests on, so that pages of one question are of one moment, and belongs to
that question alone: with another one, or changed by a letter, it is refused.
"""

import base64
import binascii
import hashlib
import hmac

import msgspec

from midstage.contracts.errors import RefusedError
from midstage.stats.views.usage.parts import Standing
from midstage.stats.views.usage.question import Question

LONGEST = 16_384
_SEAL_BYTES = 16
_KEY = b"midstage usage cursor "


class Cursor(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """So many groups have been shown of the answer that rests on ``standing``."""

    question: bytes
    shown: int
    standing: Standing


_decode = msgspec.json.Decoder(Cursor).decode


def of(question: Question, *, shown: int, standing: Standing) -> Cursor:
    """The place after the first ``shown`` groups."""
    return Cursor(question=_mark(question), shown=shown, standing=standing)


def sealed(cursor: Cursor, *, secret: bytes) -> str:
    """The word for it."""
    said = msgspec.json.encode(cursor)
    return base64.urlsafe_b64encode(_seal(said, secret) + said).decode().rstrip("=")


def opened(word: str, *, question: Question, secret: bytes) -> Cursor:
    """What the word says; RefusedError (400) where we did not make it, or for another question."""
    cursor = None
    if len(word) <= LONGEST and word.isascii():
        try:
            whole = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))
        except (binascii.Error, ValueError):
            whole = b""
        seal, said = whole[:_SEAL_BYTES], whole[_SEAL_BYTES:]
        if hmac.compare_digest(seal, _seal(said, secret)):
            cursor = _decode(said)
    if cursor is None:
        raise RefusedError("after: it is not what an answer gave as next", status=400)
    if cursor.question != _mark(question):
        raise RefusedError("after: it is of another question; ask the same one", status=400)
    return cursor


def _seal(said: bytes, secret: bytes) -> bytes:
    return hmac.digest(_KEY + secret, said, hashlib.sha256)[:_SEAL_BYTES]


def _mark(question: Question) -> bytes:
    said = msgspec.json.encode(question, order="deterministic")
    return hashlib.sha256(said).digest()[:_SEAL_BYTES]
