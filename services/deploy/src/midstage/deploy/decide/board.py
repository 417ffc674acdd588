"""Nodes and replicas as an update is played with: what is left, who may go, what that makes free.

New replicas are all alike. What becomes free is first had by pods of others that wait for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import floor

from midstage.cluster import fit, spread
from midstage.cluster.spread import Spreading
from midstage.contracts.cluster import Amount

_EPSILON = 1e-9
_UNBOUNDED = 1_000_000

Kind = tuple[str, Amount, bool]
"""What older replicas are told apart by: node, what they take, whether they serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """An older replica: where it takes what, and whether new requests go to it."""

    uid: str
    node: str
    takes: Amount
    serves: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Somebody else's pod that finds no room: it has what becomes free before a new replica does.

    ``nodes``: those that would take it.
    """

    uid: str
    takes: Amount
    nodes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What is played with: what is ``left`` on each node, those that take new replicas, each of
    which ``asks`` for so much, and who ``waits`` for the same room, the first first.

    ``placed`` new ones have a node and are ready in time, ``slots`` more find room now; ``beside``:
    the new ones on each node, as ``spreads`` count them. ``count`` are wanted, ``surge`` more may
    be there meanwhile, ``least`` must be ready.
    """

    left: Mapping[str, Amount]
    takers: frozenset[str]
    asks: Amount
    old: tuple[Old, ...]
    waits: tuple[Waiting, ...] = ()
    spreads: tuple[Spreading, ...] = ()
    beside: Mapping[str, int]
    placed: int
    slots: int
    count: int
    surge: int
    least: int

    @property
    def new(self) -> int:
        """How many new replicas there are once all that may be made now are ready."""
        most = self.count + self.surge - len(self.old)
        return max(self.placed, min(self.count, most, self.placed + self.slots))

    @property
    def spare(self) -> int:
        """How many replicas that serve may go now."""
        return self.new + sum(old.serves for old in self.old) - self.least

    @property
    def is_won(self) -> bool:
        """Whether all are replaced."""
        return not self.old and self.new >= self.count

    def without(self, old: Old) -> "Board":
        """After it has gone, with the slots that there are then."""
        gone = self.vacated(old)
        if old.node not in gone.left:
            return gone
        return replace(gone, slots=self.slots_with(old.node, gone.left[old.node]))

    def vacated(self, old: Old) -> "Board":
        """After it has gone, the slots left aside; the order of the others stays."""
        rest = tuple(each for each in self.old if each.uid != old.uid)
        if old.node not in self.left:
            return replace(self, old=rest)
        left, waits = self.freed(old.node, old.takes)
        return replace(self, old=rest, left={**self.left, old.node: left}, waits=waits)

    def may_go(self, old: Old) -> bool:
        """Whether enough stay ready."""
        return not old.serves or self.spare > 0

    def freed(self, node: str, given: Amount) -> tuple[Amount, tuple[Waiting, ...]]:
        """What is left on ``node`` when so much more is free there, and who waits still."""
        left = more(self.left[node], given)
        still: list[Waiting] = []
        for each in self.waits:
            if node in each.nodes and fit.has_room(each.takes, left):
                left = fit.less(left, each.takes)
            else:
                still.append(each)
        return left, tuple(still)

    def slots_with(self, node: str, left: Amount) -> int:
        """The slots were so much left on ``node``."""
        if node not in self.takers:
            return self.slots
        if not self.spreads:
            return self.slots + slots(left, self.asks) - slots(self.left[node], self.asks)
        free = {**self.free, node: slots(left, self.asks)}
        return spread.room(self.spreads, free, self.beside, most=self.count)

    @property
    def free(self) -> dict[str, int]:
        """How many new replicas each node has room for, whatever the spreads say."""
        return {node: slots(self.left[node], self.asks) for node in self.takers}


def slots(left: Amount, asks: Amount) -> int:
    """How many replicas that ask for so much find room in what is left."""
    pairs = ((left.cpu, asks.cpu), (left.memory_mb, asks.memory_mb), (left.gpus, asks.gpus))
    found = [floor(has / needs + _EPSILON) for has, needs in pairs if needs > 0]
    return max(0, min(found, default=_UNBOUNDED))


def more(amount: Amount, given: Amount) -> Amount:
    """``amount`` with ``given`` beside it."""
    return Amount(
        cpu=amount.cpu + given.cpu,
        memory_mb=amount.memory_mb + given.memory_mb,
        gpus=amount.gpus + given.gpus,
    )


def kind_of(old: Old) -> Kind:
    """Those of one kind are one choice."""
    return old.node, old.takes, old.serves
