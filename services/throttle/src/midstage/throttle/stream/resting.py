"""Counters that nobody asks for, kept beside their claims in the fold of the log.

What was kept holds until a newer claim stands, until the partition is taken, by whomever, and its
room until the terms of the limit change. Whoever opens the counter goes on as if it had never been
let go of; a process that dies loses what it knew, as with any room.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from threading import Condition
from typing import Protocol

from midstage.contracts.limits import LimitSet
from midstage.throttle.decide.lending import LentBucket
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.meters.slots import Slots
from midstage.throttle.decide.rested import Rested
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.spends import Spends, Stood
from midstage.throttle.decide.strict import Strict
from midstage.throttle.model.limits import Key


class Beside(Protocol):
    """The fold of the log."""

    def rest(self, counters: Sequence[tuple[Key, Rested]]) -> Sequence[bool]:
        """Keep it beside what stands of each; False where nothing does."""
        ...

    def resting(self) -> Sequence[Key]:
        """Beside which something is kept."""
        ...


class BesideClaims:
    """A Beside, in a fold that another thread changes while it holds ``changed``."""

    def __init__(self, spends: Spends, changed: Condition) -> None:
        """Nothing rests."""
        self._spends = spends
        self._changed = changed

    def rest(self, counters: Sequence[tuple[Key, Rested]]) -> Sequence[bool]:
        """Until a newer claim stands."""
        with self._changed:
            return [self._spends.rest(key, known) for key, known in counters]

    def resting(self) -> Sequence[Key]:
        """It looks at all that stands."""
        with self._changed:
            return self._spends.resting()


class Resting:
    """Numbers terms and takings, so that what is kept can say what it holds under."""

    def __init__(self, beside: Beside | None, partition: Callable[[str], int]) -> None:
        """``partition`` is where a customer's counters stand."""
        self._beside = beside
        self._partition = partition
        self._terms: dict[str, tuple[int, LimitSet]] = {}
        self._takings: dict[int, int] = {}
        self._number = 0

    def rest(self, accounts: Sequence[LimitAccount], now_ns: int) -> Sequence[bool]:
        """Which of them are kept now, and may be forgotten."""
        if self._beside is None:
            return [False] * len(accounts)
        known = [self._known(account, now_ns) for account in accounts]
        kept = iter(self._beside.rest([each for each in known if each is not None]))
        return [each is not None and next(kept) for each in known]

    def keys(self) -> Sequence[Key]:
        """Of those that are kept and were not asked for since."""
        if self._beside is None or not self._terms:
            return ()
        return self._beside.resting()

    def taken(self, partitions: Collection[int]) -> None:
        """Others may have counted: what was kept of these holds no more."""
        for number in partitions:
            self._takings[number] = self._takings.get(number, 0) + 1

    def still(self, stood: Stood | None, limit: LimitSet, key: Key) -> tuple[Stood | None, bool]:
        """What stands, with what holds of that beside it; and whether its room does."""
        if stood is None or stood.rested is None:
            return stood, False
        if stood.rested.taking != self._taking(key):
            return replace(stood, rested=None), False
        return stood, stood.rested.terms == self._number_of(limit)

    def _known(self, account: LimitAccount, now_ns: int) -> tuple[Key, Rested] | None:
        """None where a claim does not say enough of it, or not yet."""
        meter, fallback = account.meter, account.fallback
        if not isinstance(meter, Room | Strict) or isinstance(account.counted, LentBucket | Slots):
            return None
        if fallback is not None and not fallback.untouched(now_ns):
            return None
        standing = meter.at_rest(now_ns)
        if standing is None:
            return None
        key = account.key
        terms, taking = self._number_of(account.limit), self._taking(key)
        return key, Rested(meter=standing, terms=terms, taking=taking)

    def _taking(self, key: Key) -> int:
        return self._takings.get(self._partition(key[1]), 0)

    def _number_of(self, limit: LimitSet) -> int:
        """Another one for each fact, even one that says the same again."""
        number, known = self._terms.get(limit.limit, (0, None))
        if known is not limit:
            self._number += 1
            number = self._number
            self._terms[limit.limit] = (number, limit)
        return number
