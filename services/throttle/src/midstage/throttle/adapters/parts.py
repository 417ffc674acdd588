"""Parts of limits over all customers, from throttle to throttle: JSON over the owners' port.

``midstage.throttle.v1.Owner/Lend``. What can't be read is refused; an owner that does not answer
says nothing, and whoever waits for it goes by its limits' failure rules.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from midstage.contracts.spends import CustomersTaken
from midstage.throttle.adapters.http2.calls import CallError, Status
from midstage.throttle.adapters.owners import Owners
from midstage.throttle.model.later import Later
from midstage.throttle.model.parts import UNSAID, PartAsked, PartLent

METHOD: Final = "/midstage.throttle.v1.Owner/Lend"
WITHIN_S: Final = 1.0

_ASKED: Final = msgspec.json.Decoder(PartAsked)
_LENT: Final = msgspec.json.Decoder(PartLent)


class PartsAsked:
    """The way to the owners."""

    def __init__(self, owners: Owners) -> None:
        """By their connections."""
        self._owners = owners

    async def __call__(self, holder: CustomersTaken, asked: PartAsked) -> PartLent:
        """What it lends; ``UNSAID`` where it does not answer."""
        body = msgspec.json.encode(asked)
        answer = await self._owners.call(holder, METHOD, body, within_s=WITHIN_S)
        if answer is None:
            return UNSAID
        try:
            return _LENT.decode(answer)
        except msgspec.DecodeError:
            return UNSAID


def answering(
    lend: Callable[[PartAsked], PartLent | Later[PartLent]],
) -> Callable[[bytes, float | None], bytes | Later[bytes]]:
    """The port's method over ``lend``; CallError for what is no question."""

    def answered(request: bytes, _: float | None) -> bytes | Later[bytes]:
        try:
            asked = _ASKED.decode(request)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
            raise CallError(Status.INVALID_ARGUMENT, "not a question for a part") from e
        lent = lend(asked)
        return lent.mapped(encoded) if isinstance(lent, Later) else encoded(lent)

    return answered


def encoded(lent: PartLent) -> bytes:
    """The answer as it goes out."""
    return msgspec.json.encode(lent)
