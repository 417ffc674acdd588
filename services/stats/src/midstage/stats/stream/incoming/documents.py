"""JSON read strictly: no key twice, no NaN, no endless nesting, and each fault with its pointer.

Readers of the log take the last of two keys and would each call a fault by another name; here,
where the sender can still mend it, it is refused.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from midstage.stats.views.ingest import MOST_EVENTS, WHOLE, Mode

DEEPEST = 16
_TOLD = 200

Value = object
"""What JSON knows: an object, an array, a text, a number, true, false, null."""


class FaultError(Exception):
    """What is wrong at ``pointer`` of a document; ``index``: of which of the body's.

    ``status`` 413: nothing is wrong but that it is too much at once.
    """

    def __init__(self, pointer: str, detail: str, *, index: int = WHOLE, status: int = 400) -> None:
        """Texts of the sender are made safe to be written."""
        super().__init__(detail)
        self.index = index
        self.status = status
        self.pointer = _safe(pointer)
        self.detail = _safe(detail)


class _Twice(dict[str, Value]):
    """An object in which ``key`` stands twice."""

    key = ""


class _NoNumber(str):
    """NaN, Infinity or -Infinity."""


class Written(float):
    """A number with a point or an exponent, and ``text``: how its sender wrote it."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "Written":
        """The double next to ``text``."""
        made = super().__new__(cls, text)
        made.text = text
        return made


_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANK = " \t\r\n"
_decoder = json.JSONDecoder()
_parts = msgspec.json.Decoder(list[msgspec.Raw])


def split(content: bytes, mode: Mode) -> Sequence[bytes]:
    """The events of a body, each in its own bytes; FaultError where it is no such body."""
    begins = content.lstrip(_BLANK.encode())[:1]
    if mode in (Mode.ONE, Mode.DATA) or (mode is Mode.EITHER and begins != b"["):
        return [content]
    try:
        parts: Sequence[bytes] = [bytes(part) for part in _parts.decode(content)]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        parts = _loosely(content)  # slower, but it finds the event that is broken
    if len(parts) > MOST_EVENTS:
        raise FaultError(
            "", f"{len(parts)} events are more than {MOST_EVENTS}; send less at once", status=413
        )
    return parts


def document(content: bytes) -> dict[str, Value]:
    """One JSON object; FaultError names the first place that is not strict JSON."""
    try:
        found: Value = json.loads(
            content.decode(),
            object_pairs_hook=_object,
            parse_float=Written,
            parse_constant=_NoNumber,
        )
    except UnicodeDecodeError as e:
        raise FaultError("", f"not UTF-8: byte {e.start}") from e
    except RecursionError as e:
        raise FaultError("", f"nested deeper than {DEEPEST}") from e
    except ValueError as e:  # also a number with more digits than Python reads
        raise FaultError("", f"not JSON: {str(e)[:_TOLD]}") from e
    _check(found)
    if not isinstance(found, dict):
        raise FaultError("", "not a JSON object")
    return found


def _loosely(content: bytes) -> Sequence[bytes]:
    found: list[bytes] = []
    try:
        text = content.decode()
        if not text.lstrip(_BLANK).startswith("["):
            raise FaultError("", "not an array of JSON objects")
        at = text.index("[")
        while text[at] != "]" or not found:
            begin = _past_blanks(text, at + 1)
            _, at = _decoder.raw_decode(text, begin)
            found.append(text[begin:at].encode())
            at = _past_blanks(text, at)
            if text[at] not in ",]":
                raise FaultError("", "not JSON: a comma is missing after it", index=len(found) - 1)
        if text[at + 1 :].strip(_BLANK):
            raise FaultError("", "something follows the array")
    except (ValueError, RecursionError, IndexError) as e:
        raise FaultError("", f"not JSON: {str(e)[:_TOLD]}", index=len(found)) from e
    return found


def _past_blanks(text: str, at: int) -> int:
    while text[at] in _BLANK:
        at += 1
    return at


def pointed(*steps: object) -> str:
    """The pointer to a place within a document."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    twice = _Twice()
    twice.key = Counter(key for key, _ in pairs).most_common(1)[0][0]
    return twice


def _check(found: Value) -> None:
    """Without recursion, because the depth is what is looked for."""
    waiting: list[tuple[str, int, Value]] = [("", 1, found)]
    while waiting:
        pointer, depth, value = waiting.pop()
        if isinstance(value, _Twice):
            raise FaultError(pointer + pointed(value.key), "this key stands twice")
        if any(_half(text) for text in _texts(value)):
            raise FaultError(pointer, "a text with half of a surrogate pair")
        if isinstance(value, _NoNumber) or (isinstance(value, float) and not math.isfinite(value)):
            raise FaultError(pointer, "not a finite number")
        if isinstance(value, dict | list):
            if depth > DEEPEST:
                raise FaultError(pointer, f"nested deeper than {DEEPEST}")
            waiting += [
                (pointer + pointed(step), depth + 1, inner) for step, inner in _inside(value)
            ]


def _texts(value: Value) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, dict) else ()


def _half(text: str) -> bool:
    """Whether it holds an escape that is no character, which nobody can write down."""
    return not text.isascii() and _SURROGATE.search(text) is not None


def _inside(value: dict[str, Value] | list[Value]) -> Iterator[tuple[object, Value]]:
    yield from reversed(list(value.items() if isinstance(value, dict) else enumerate(value)))


def _safe(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()[:1000]
