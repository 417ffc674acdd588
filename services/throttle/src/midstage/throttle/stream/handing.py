"""Partitions are left in order: how their counters stand, that they are left, who comes next.

From when a successor is named it is asked about new checks; those that wait here have their answer
before the last word. So none is lost, and nothing of what was claimed and not used.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

from midstage.contracts.spends import CustomersTaken
from midstage.throttle.decide.kept import Kept
from midstage.throttle.stream.holdings import Holdings

MOST_HANDED: Final = 20_000
"""Counters that a process looks through in one go while others ask it, in 20 ms."""
AT_ONCE: Final = 100
"""Counters are written ahead so many at once, in 2 ms, with checks in between."""
_AGAIN_S: Final = 0.001


class Spends(Protocol):
    """The log of counters."""

    holdings: Holdings

    def partition(self, customer: str) -> int:
        """Where a customer's counters stand."""
        ...

    def assign(self, to: Mapping[int, CustomersTaken]) -> None:
        """Have these count from now on."""
        ...

    def leave(self, to: Mapping[int, CustomersTaken | None]) -> None:
        """Count no more for these."""
        ...


class Keeping(Protocol):
    """What writes counters, and who waits for it."""

    def leave(self, rooms: Iterable[Kept]) -> bool:
        """Write how these stand; False where they are too many."""
        ...

    def is_waited_for(self, concerned: Callable[[str], bool]) -> bool:
        """Whether a check waits for a counter of these customers."""
        ...


Rooms = Callable[[Callable[[str], bool]], Iterable[Kept]]
"""The counters of some customers, which are to stand in the log as they are."""


class Handing:
    """Belongs to the loop of the checks."""

    def __init__(
        self, *, spends: Spends, rooms: Rooms, keeping: Keeping, answer_within_s: float
    ) -> None:
        """Nothing is left yet; who waits has its answer within that time, by count or by rule."""
        self._answer_within_s = answer_within_s
        self._spends = spends
        self._rooms = rooms
        self._keeping = keeping

    async def over(self, to: Mapping[int, CustomersTaken]) -> None:
        """While this process lives on: what is written ahead does not hold up checks."""
        rooms = self._of(to)
        if len(rooms) > MOST_HANDED:
            self._spends.assign(to)  # as if taken: its room is lost, and nobody waits for it
            return
        if len(rooms) > AT_ONCE:
            for begins in range(0, len(rooms), AT_ONCE):
                self._keeping.leave(rooms[begins : begins + AT_ONCE])
                await asyncio.sleep(0)
        await self.left(to)

    async def left(self, to: Mapping[int, CustomersTaken | None]) -> None:
        """With what nobody is named for: whoever comes next takes it at once, and whole."""
        named = {number: each for number, each in to.items() if each is not None}
        self._spends.holdings.give(named)
        until = asyncio.get_running_loop().time() + self._answer_within_s
        while self._keeping.is_waited_for(self._concerned(to)):
            if asyncio.get_running_loop().time() >= until:
                break
            await asyncio.sleep(_AGAIN_S)
        if self._keeping.leave(self._rooms(self._concerned(to))):
            self._spends.leave(to)
        else:
            self._spends.assign(named)

    def _of(self, numbers: Collection[int]) -> Sequence[Kept]:
        """One more than may be handed over tells as much as all: those at rest are made anew."""
        return list(islice(self._rooms(self._concerned(numbers)), MOST_HANDED + 1))

    def _concerned(self, numbers: Collection[int]) -> Callable[[str], bool]:
        return lambda customer: self._spends.partition(customer) in numbers
