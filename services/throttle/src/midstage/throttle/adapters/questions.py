"""Checks in ``RateLimitRequest``s: what differs in customer and request id alone is parsed once.

A gateway asks the same of all its customers' requests again and again. The bytes around these two
say all the rest, so they are remembered, where the two surely are what stands between them.
"""

from collections.abc import Mapping
from typing import Final

from midstage.contracts.errors import RefusedError
from midstage.contracts.fact import LONGEST_NAME
from midstage.throttle.adapters.imported.protocol import RateLimitRequest
from midstage.throttle.model.checks import NOTHING, UNLABELLED, Check

DOMAIN: Final = "midstage"
MOST_KNOWN: Final = 16_384
LONGEST_KNOWN: Final = 1_024
"""Bytes of a question; so at most 16 MiB are remembered."""
_CUSTOMER, _REQUEST_ID = b"customer", b"request_id"
_WHOSE: Final = b"\x0a\x08" + _CUSTOMER + b"\x12"
_WHICH: Final = b"\x0a\x0a" + _REQUEST_ID + b"\x12"
"""An entry's key with this name, and the beginning of its value: a byte with its length follows."""
_NAMES: Final = (_CUSTOMER, _REQUEST_ID)
_SHORT: Final = 0x80
"""Lengths below are one byte."""
_MOST: Final = 10**15
"""Units that one check can ask for; more is taken for so many, which no limit allows either."""
_DIGITS: Final = 4000  # int() takes no more of them; nobody's number is as long
_UNITS: Final = "units."
_NEEDED: Final = ("customer", "app")
_OF_WHOM: Final = (*_NEEDED, "request_id", "key")
"""The entries that are neither estimates nor labels."""
_PLAIN: Final = 3
"""Entries of a descriptor with neither."""
_FORM: Final = "a question in domain midstage has one descriptor, with customer and app"

_Around = tuple[bytes, bytes, bytes]
"""A question but for the values of two entries: their lengths are the last bytes before them."""


class Questions:
    """Reads questions; remembers at most ``MOST_KNOWN``."""

    def __init__(self) -> None:
        """None is known."""
        self._known: dict[_Around, Check] = {}

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._known)

    def check(self, request: bytes) -> Check | None:
        """As ``decoded``."""
        at = request.find(_WHOSE)
        first = at + len(_WHOSE) + 1
        then = request.find(_WHICH, first)
        begin = then + len(_WHICH) + 1
        if at >= 0 and then >= 0 and begin <= len(request):
            middle, end = first + request[first - 1], begin + request[begin - 1]
            if middle <= then and end <= len(request):
                around = (request[:first], request[middle:begin], request[end:])
                whose, which = request[first:middle], request[begin:end]
                known = self._known.get(around)
                if known is None:
                    return self._met(request, around, whose, which)
                try:
                    return Check(
                        customer=str(whose, "utf-8"),
                        app=known.app,
                        hits=known.hits,
                        key=known.key,
                        request=str(which, "utf-8"),
                        units=known.units,
                        labels=known.labels,
                        over=known.over,
                    )
                except UnicodeDecodeError:
                    pass  # protobuf says so
        return decoded(request)

    def _met(self, request: bytes, around: _Around, whose: bytes, which: bytes) -> Check | None:
        """Parsed; and remembered where the two can only be what was cut out."""
        check = decoded(request)
        if check is None or len(request) > LONGEST_KNOWN or max(len(whose), len(which)) >= _SHORT:
            return check
        are_alone = all(sum(part.count(name) for part in around) == 1 for name in _NAMES)
        if are_alone and check.customer.encode() == whose and check.request.encode() == which:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()  # who says something new each time gains nothing
            self._known[around] = check
        return check


def decoded(request: bytes) -> Check | None:
    """The check in a ``RateLimitRequest``; None where it is of another domain.

    A descriptor's own ``hits_addend`` goes before the request's; 0 there asks without taking, and
    negative ones say that the request is over, as Envoy does when a stream is done.
    DecodeError where it is no message, RefusedError where no limit could judge it.
    """
    message = RateLimitRequest.FromString(request)
    if message.domain != DOMAIN:
        return None
    if len(message.descriptors) != 1:
        raise RefusedError(f"{_FORM}; this one has {len(message.descriptors)}", status=400)
    descriptor = message.descriptors[0]
    entries = {entry.key: entry.value for entry in descriptor.entries}
    wrong = _wrong(entries)
    if wrong:
        raise RefusedError(f"{_FORM}; {wrong}", status=400)
    own = descriptor.HasField("hits_addend")
    hits = descriptor.hits_addend.value if own else message.hits_addend or 1
    return Check(
        customer=entries["customer"],
        app=entries["app"],
        hits=min(hits, _MOST),
        key=entries.get("key", ""),
        request=entries.get("request_id", ""),
        units=_units(entries) if len(entries) > _PLAIN else NOTHING,
        labels=_labels(entries) if len(entries) > _PLAIN else UNLABELLED,
        over=descriptor.is_negative_hits,
    )


def _wrong(entries: Mapping[str, str]) -> str:
    """Why no limit could judge it; empty where one can.

    A longer name could be counted, but not in the log: nothing of it would outlive the process.
    """
    lacking = [name for name in _NEEDED if not entries.get(name)]
    if lacking:
        return f"this one lacks {' and '.join(lacking)}"
    long = [name for name in _OF_WHOM if len(entries.get(name, "")) > LONGEST_NAME]
    return f"{' and '.join(long)} of more than {LONGEST_NAME} characters" if long else ""


def _units(entries: Mapping[str, str]) -> Mapping[str, int]:
    """Estimates by unit; what is no whole number says nothing."""
    return {
        key.removeprefix(_UNITS): min(int(value[:_DIGITS]), _MOST)
        for key, value in entries.items()
        if key.startswith(_UNITS) and value.isascii() and value.isdigit()
    }


def _labels(entries: Mapping[str, str]) -> Mapping[str, str]:
    """All entries that are nothing else: conditions of limits may name them."""
    return {
        key: value
        for key, value in entries.items()
        if key not in _OF_WHOM and not key.startswith(_UNITS)
    }
