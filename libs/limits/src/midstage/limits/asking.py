"""Requests that throttle is asked about one by one, and told the end of.

What they reserve, and slots that they hold, are free when the end is told; it may be told twice. An
end that throttle does not hear of is told again later, the last ``MOST_UNTOLD`` of them; others
come back by themselves after throttle's own time.
"""

from collections import OrderedDict
from collections.abc import Mapping
from itertools import islice
from typing import Final
from uuid import uuid4

import msgspec

from midstage.limits.errors import (
    LimitsUnavailableError,
    NotTakenError,
    OwnerAwayError,
    QuotaExceededError,
)
from midstage.limits.owner import Owner
from midstage.limits.wire import Checked, Ending, Question

MOST_UNTOLD: Final = 10_000
MOST_TOLD: Final = 100
"""At once, or leases would wait for it."""
_MOST_RULES: Final = 65_536
_NOTHING_SETTLED: Final = "requests"

_Asking = tuple[str, str, str]


class Asking:
    """One by one; what throttle said last of the failure rules holds while it is away."""

    def __init__(self, owner: Owner) -> None:
        """Nothing was asked yet."""
        self.owner = owner
        self._open: dict[_Asking, bool] = {}
        self._untold: OrderedDict[str, Ending] = OrderedDict()

    async def admit(self, question: Question, *, is_open: bool) -> Ending | None:
        """It passes, or raises; what is to be told at its end, if anything.

        ``is_open``: what the failure rules are, as far as it is known from elsewhere.
        """
        asking = question.customer, question.app, question.key
        ending = Ending(
            request=question.request,
            customer=question.customer,
            app=question.app,
            key=question.key,
            labels=question.labels,
        )
        try:
            checked = await self.owner.check(question)
        except OwnerAwayError as e:
            if self._open.get(asking, is_open):
                return ending
            if not isinstance(e, NotTakenError):
                self._never_was(ending, question.units)
            raise LimitsUnavailableError(str(e)) from e
        if len(self._open) >= _MOST_RULES:
            self._open.clear()
        self._open[asking] = all(_is_open(limit) for limit in checked["limits"])
        if not checked["admitted"]:
            raise QuotaExceededError(checked["violated"], checked["retry_after_s"])
        return ending if _is_settled(checked) else None

    async def end(self, ending: Ending, used: Mapping[str, int]) -> None:
        """The request is over; whether throttle hears of it now or later."""
        ending = msgspec.structs.replace(ending, units=used)
        self._untold[ending.request] = ending  # it stands there while it is on its way
        await self._told(ending)

    async def tell_again(self, most: int = MOST_TOLD) -> None:
        """Tell what throttle did not hear of, the oldest first; until it does not answer."""
        for ending in list(islice(self._untold.values(), most)):
            if not await self._told(ending):
                return

    def _never_was(self, ending: Ending, units: Mapping[str, int]) -> None:
        """The question may have come, and nobody heard the answer."""
        used = dict.fromkeys(units, 0)
        self._untold[ending.request] = msgspec.structs.replace(ending, units=used)
        self._bounded()

    async def _told(self, ending: Ending) -> bool:
        self._bounded()
        try:
            await self.owner.settle(ending)
        except NotTakenError:
            pass  # it would stand in the way of the others
        except OwnerAwayError:
            return False
        self._untold.pop(ending.request, None)
        return True

    def _bounded(self) -> None:
        while len(self._untold) > MOST_UNTOLD:
            self._untold.popitem(last=False)


def new_request() -> str:
    """An id that no other request has."""
    return uuid4().hex


def _is_open(limit: Mapping[str, object]) -> bool:
    return bool(limit["shadow"]) or limit["on_failure"] == "open"


def _is_settled(checked: Checked) -> bool:
    return any(limit["unit"] != _NOTHING_SETTLED for limit in checked["limits"])
