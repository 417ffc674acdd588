"""What each customer used in each minute, as facts with revisions and absolute amounts.

A minute's facts are written soon after it ends, and those that late events changed with the next
minute's, however old they are. A revision is all amounts added up: so the same rows give the same
fact after any restart, and whatever adds to it gives a higher one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

import numpy as np

from midstage.contracts.units import total
from midstage.contracts.usage import OTHERS, AppUsage, UsageMinuteEnded, UsageObserved
from midstage.stats.model import Flags, Sums
from midstage.stats.views.seconds import EPOCH, MICROSECOND
from midstage.stats.views.shards import Shard
from midstage.stats.views.units import bounded

MINUTE = timedelta(minutes=1)
SETTLING = timedelta(seconds=2)
MOST_APPS = 200
"""Of one fact: the others are added up as one, or made-up names would make it too large to read."""

Cell = tuple[datetime, str]
"""A minute and a customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """One line of the roll-up: ``kind`` is ``outcome`` or ``unit``."""

    minute: datetime
    customer: str
    app: str
    kind: str
    name: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the facts so far rest on, so that after a restart none is told again or left out.

    Told is each cell of a minute before ``until`` whose last change was in commit ``version`` or
    before; and, by a round that may not be over, each cell of a minute from ``until`` to
    ``round_until`` and each earlier one whose last change was in ``round_version`` or before.
    """

    version: int
    until: datetime
    round_version: int
    round_until: datetime


def beginning(now: datetime) -> Mark:
    """Of a ledger that has told nothing: the minutes before are told as far as they have usage."""
    until = minute_of(now)
    return Mark(version=0, until=until, round_version=0, round_until=until)


class Changed:
    """The cells whose facts are to be written; not for two threads at once.

    Once a minute a round begins: what changed in the minutes that are over is handed out in the
    order of its last commit, so that the mark can say how far it went. What changes meanwhile
    waits for the next round.
    """

    def __init__(self, cells: Mapping[Cell, int], *, mark: Mark, version: int) -> None:
        """Begin with what is not told of all commits up to ``version``, by its last commit."""
        self._cells = dict(cells)
        self._mark = mark
        self._round_began = self._version = version
        self._due: list[tuple[int, Cell]] = []
        if mark.round_until > mark.until:
            self._list(mark.round_until)

    @property
    def mark(self) -> Mark:
        """What is told by all that was handed out."""
        return self._mark

    def absorb(self, sums: Sums, *, version: int) -> None:
        """These cells were added to by this commit."""
        self._version = version
        at = np.flatnonzero((sums.amount > 0).astype(np.bool_) & _said(sums))
        spread = len(sums.customer.words) or 1
        keys = np.unique(sums.minute[at] // _MINUTE_US * spread + sums.customer.codes[at])
        for minute, customer in (divmod(key, spread) for key in keys.tolist()):
            self._cells[(EPOCH + minute * MINUTE, sums.customer.words[customer])] = version

    def next(self, now: datetime, *, most: int) -> tuple[Cell, ...]:
        """The cells to write now; the ledger's amounts of them are the newest.

        About ``most`` of them: those of one commit are not parted.
        """
        begun = minute_of(now - SETTLING)
        if self._mark.round_until == self._mark.until < begun:
            self._list(begun)
            self._mark = replace(self._mark, round_version=0, round_until=begun)
        found: list[Cell] = []
        while self._due and (len(found) < most or self._due[-1][0] == self._mark.round_version):
            version, cell = self._due.pop()
            self._mark = replace(self._mark, round_version=version)
            if self._cells.get(cell) == version:  # else it changed again: the next round has it
                del self._cells[cell]
                found.append(cell)
        return tuple(found)

    def ended(self) -> tuple[datetime, ...]:
        """The minutes that are told now that a round is over; each is handed out once."""
        mark = self._mark
        if self._due or mark.round_until == mark.until:
            return ()
        minutes = tuple(
            mark.until + number * MINUTE
            for number in range((mark.round_until - mark.until) // MINUTE)
        )
        self._mark = Mark(
            version=self._round_began,
            until=mark.round_until,
            round_version=self._round_began,
            round_until=mark.round_until,
        )
        return minutes

    def _list(self, until: datetime) -> None:
        self._round_began = self._version
        self._due = sorted(
            ((version, cell) for cell, version in self._cells.items() if cell[0] < until),
            reverse=True,
        )


_MINUTE_US = MINUTE // MICROSECOND


def _said(sums: Sums) -> Flags:
    """Bytes are not told, and come with an outcome that is."""
    kinds = np.array([word != "bytes" for word in sums.kind.words], np.bool_)
    flags: Flags = kinds[sums.kind.codes]
    return flags


def minute_of(time: datetime) -> datetime:
    """The begin of the minute in which ``time`` lies."""
    return time.replace(second=0, microsecond=0)


def observed(
    amounts: Sequence[Amount], *, shard: Shard, complete_until: datetime | None
) -> tuple[UsageObserved, ...]:
    """The facts of these absolute amounts, which are in order of minute, customer and app."""
    return tuple(
        UsageObserved(
            customer=customer,
            minute=minute,
            shard=shard.number,
            shards=shard.of,
            revision=sum(each.amount for each in held),
            complete_until=complete_until,
            apps=_apps(held),
        )
        for (minute, customer), lines in groupby(amounts, key=_cell)
        for held in (list(lines),)
    )


def minute_ended(
    minute: datetime, *, customers: int, shard: Shard, complete_until: datetime | None
) -> UsageMinuteEnded:
    """That the facts of this minute have been written."""
    return UsageMinuteEnded(
        minute=minute,
        shard=shard.number,
        shards=shard.of,
        customers=customers,
        complete_until=complete_until,
    )


def _cell(amount: Amount) -> Cell:
    return amount.minute, amount.customer


def _apps(held: Sequence[Amount]) -> tuple[AppUsage, ...]:
    found = [_app(app, list(lines)) for app, lines in groupby(held, key=lambda amount: amount.app)]
    if len(found) <= MOST_APPS:
        return tuple(found)
    rest = found[MOST_APPS - 1 :]
    others = AppUsage(
        app=OTHERS,
        outcomes=dict(total(each.outcomes for each in rest)),
        units=bounded(total(each.units for each in rest)),
    )
    return tuple(sorted((*found[: MOST_APPS - 1], others), key=lambda each: each.app))


def _app(app: str, lines: Sequence[Amount]) -> AppUsage:
    units = bounded(_named(lines, "unit"))
    return AppUsage(app=app, outcomes=_named(lines, "outcome"), units=units)


def _named(lines: Sequence[Amount], kind: str) -> dict[str, int]:
    return {each.name: each.amount for each in lines if each.kind == kind}
