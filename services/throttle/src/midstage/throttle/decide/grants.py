"""Who has which parts of a bucket: by what answers, how much, and until when.

A part counts until its term is over, or until its holder says that it goes by a later answer; of
several that it may go by the larger of each. Written down they are whole numbers, one set for each
holder, those that end first in front: what is read back is never less than what was written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from midstage.throttle.model.leases import Grant, HolderId

OPEN_GRANTS: Final = 8
"""Of one holder; the newest two of more count as one, of their larger parts."""
MOST_WRITTEN: Final = 64
"""Holders that a claim tells apart, those with the largest parts: so it stays below 8 KiB."""
OTHERS: Final = HolderId(0)
"""All holders that it does not tell apart, as if they were one."""
NEVER: Final = 1 << 63
NUMBERS: Final = 5
"""For each holder: until when, who, the newest serial number, rate and burst."""


class Grants:
    """All of one bucket; changes in place."""

    __slots__ = ("_of", "ends_ns")

    def __init__(self) -> None:
        """Nothing is lent. ``ends_ns`` is when the first part ends."""
        self._of: dict[HolderId, list[Grant]] = {}
        self.ends_ns = NEVER

    def __iter__(self) -> Iterator[HolderId]:
        """Who has something."""
        return iter(self._of)

    def __len__(self) -> int:
        """How many holders have something."""
        return len(self._of)

    def open(self, holder: HolderId) -> int:
        """How many answers it may go by."""
        return len(self._of.get(holder, ()))

    def most(self, holder: HolderId) -> tuple[int, int]:
        """The rate and the burst that it may go by; 0 where it has nothing."""
        grants = self._of.get(holder, ())
        return (
            max((each.rate_micros for each in grants), default=0),
            max((each.burst for each in grants), default=0),
        )

    def all(self) -> tuple[int, int]:
        """The rate and the burst of all holders."""
        parts = [self.most(holder) for holder in self._of]
        return sum(rate for rate, _ in parts), sum(burst for _, burst in parts)

    def newest(self) -> int:
        """The largest serial number; an answer that is to be gone by needs a larger one."""
        return max((each.serial for grants in self._of.values() for each in grants), default=0)

    def add(self, holder: HolderId, grant: Grant) -> None:
        """One more that it may go by."""
        before = self._of.get(holder, [])
        if len(before) >= OPEN_GRANTS:
            grant = _one((before[-1], grant))
            before = before[:-1]
        self._of[holder] = [*before, grant]
        self.ends_ns = min(self.ends_ns, grant.until_ns)

    def forget(self, holder: HolderId, *, before: int) -> tuple[int, int]:
        """It goes by no answer with a smaller number; the rate and burst that those had at most."""
        grants = self._of.get(holder, [])
        over = [each for each in grants if each.serial < before]
        if over:
            self._keep(holder, [each for each in grants if each.serial >= before])
            self._look()
        return (
            max((each.rate_micros for each in over), default=0),
            max((each.burst for each in over), default=0),
        )

    def end(self, now_ns: int) -> None:
        """Terms that are over are over."""
        for holder, grants in list(self._of.items()):
            self._keep(holder, [each for each in grants if each.until_ns > now_ns])
        self._look()

    def written(self) -> Sequence[int]:
        """The numbers that ``read`` takes."""
        each = [(holder, _one(grants)) for holder, grants in self._of.items()]
        if len(each) > MOST_WRITTEN:
            # whom nobody can tell apart any more come last: they stay so
            each.sort(key=lambda one: (one[0] != OTHERS, one[1].rate_micros), reverse=True)
            named, others = each[: MOST_WRITTEN - 1], each[MOST_WRITTEN - 1 :]
            each = [*named, (OTHERS, _together([grant for _, grant in others]))]
        each.sort(key=lambda one: one[1].until_ns)
        return [
            number
            for holder, one in each
            for number in (one.until_ns, holder, one.serial, one.rate_micros, one.burst)
        ]

    @classmethod
    def read(cls, numbers: Sequence[int]) -> "Grants":
        """What was written; ValueError for what was not."""
        if len(numbers) % NUMBERS or (numbers and min(numbers) < 0):
            raise ValueError(f"{len(numbers)} numbers, where each part has {NUMBERS} from 0 up")
        grants = cls()
        for at in range(0, len(numbers), NUMBERS):
            until_ns, holder, serial, rate, burst = numbers[at : at + NUMBERS]
            grant = Grant(serial=serial, rate_micros=rate, burst=burst, add=0, until_ns=until_ns)
            grants.add(HolderId(holder), grant)
        return grants

    def _keep(self, holder: HolderId, grants: list[Grant]) -> None:
        if grants:
            self._of[holder] = grants
        else:
            self._of.pop(holder, None)

    def _look(self) -> None:
        every = (each.until_ns for grants in self._of.values() for each in grants)
        self.ends_ns = min(every, default=NEVER)


def _one(grants: Sequence[Grant]) -> Grant:
    """The larger of all, as if it had been the newest."""
    return replace(
        max(grants, key=lambda each: each.serial),
        rate_micros=max(each.rate_micros for each in grants),
        burst=max(each.burst for each in grants),
        until_ns=max(each.until_ns for each in grants),
    )


def _together(grants: Sequence[Grant]) -> Grant:
    """The sum of all, until the last of them is over."""
    return Grant(
        serial=max(each.serial for each in grants),
        rate_micros=sum(each.rate_micros for each in grants),
        burst=sum(each.burst for each in grants),
        add=0,
        until_ns=max(each.until_ns for each in grants),
    )
