"""What this process claims of the counters that it holds: written, under way, and disputed.

A record of one that did not hold the partition is disputed: for compaction it is the newest of its
key all the same, so whoever holds it writes its own again. No older claim follows a newer one.
The thread that follows the log tells of disputes, holding ``changed``; all else belongs to the loop
that answers checks.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from midstage.contracts.spends import RoomTaken, Unanswered
from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.spends import Cleared, Spends, Stood
from midstage.throttle.model.limits import Key
from midstage.throttle.stream.holdings import Holdings
from midstage.throttle.stream.writing import Writing

IN_TURNS: Final = 10_000
"""All counters are looked at in so many turns, twenty of which are in a second."""


class Written(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A claim that is to be written, or what became of it: ``counts``, or for nobody."""

    key: Key
    algorithm: str
    claim: Standing
    units: int = 0
    counts: bool = True
    unanswered: tuple[Unanswered, ...] = ()


class OwnClaims:
    """Of all partitions that are held here."""

    def __init__(
        self,
        *,
        spends: Spends,
        changed: threading.Condition,
        holdings: Holdings,
        writing: Writing,
        partition: Callable[[str], int],
        now: Callable[[], datetime],
    ) -> None:
        """``spends`` is read holding ``changed``; ``partition`` says where a customer's stand."""
        self._spends = spends
        self._changed = changed
        self._holdings = holdings
        self._writing = writing
        self._partition = partition
        self._now = now
        self._disputed: set[tuple[int, Key]] = set()
        self._under_way: dict[Key, Standing] = {}

    def write(self, each: Written) -> bool:
        """Hand it to the log; False: its partition is not held, and it would count for nobody."""
        limit, customer, api_key = each.key
        partition = self._partition(customer)
        epoch = self._holdings.epoch(partition)
        if epoch is None:
            return False
        self._under_way[each.key] = each.claim
        fact = RoomTaken(
            limit=limit,
            customer=customer,
            key=api_key,
            units=each.units,
            algorithm=each.algorithm,
            standing=tuple(str(number) for number in each.claim),
            owner=self._holdings.me.owner,
            epoch=epoch,
            at=self._now(),
            unanswered=each.unanswered,
        )
        self._writing.claim(fact, partition)
        return True

    def heard(self, each: Written) -> None:
        """The log has it."""
        if self._under_way.get(each.key) == each.claim:
            del self._under_way[each.key]

    def disputes(self) -> bool:
        """Whether any counter's newest record is of another one."""
        return bool(self._disputed)

    def dispute(self, partition: int, key: Key, *, counts: bool) -> None:
        """The counter's newest record is this one; is it of who holds the partition?"""
        (self._disputed.discard if counts else self._disputed.add)((partition, key))

    def restate(self) -> None:
        """Write again what is disputed; but for what is written anew already."""
        if not self._disputed:
            return
        mine = self._holdings.mine()
        with self._changed:
            again = [
                each
                for each in self._disputed
                if each[0] in mine and each[1] not in self._under_way
            ]
            self._disputed.difference_update(again)
            stood = [(key, self._spends.stood(key)) for _, key in again]
        for key, each in stood:
            if each is None:
                self._mark(key)
                continue
            self.write(
                Written(
                    key=key,
                    algorithm=each.algorithm,
                    claim=each.claim,
                    unanswered=each.unanswered,
                )
            )

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """Let go in the log of counters of ours that equal new ones; each is looked at in turn.

        ``is_new`` says which, and of none that is counted here. Nor is one let go of while a claim
        of it is under way; what is claimed after the mark comes after it in the log.
        """
        mine = self._holdings.mine()
        if not mine:
            return
        with self._changed:
            found = self._spends.in_turn(1 + len(self._spends) // IN_TURNS)
        for key, stood in found:
            is_ours = self._partition(key[1]) in mine and key not in self._under_way
            if is_ours and is_new(key, stood):
                self._mark(key)

    def _mark(self, key: Key) -> None:
        partition = self._partition(key[1])
        epoch = self._holdings.epoch(partition)
        if epoch is None:
            return
        cleared = Cleared(key=key, owner=self._holdings.me.owner, epoch=epoch)
        self._writing.mark(cleared, partition)
