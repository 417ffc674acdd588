"""In which order older replicas go so that new ones find room and enough stay ready.

New replicas are all alike, so what counts is how many more find room, the slots; where the
scheduler puts one does not matter. A replica that goes costs one that is ready, and may make slots
once pods of others that wait have taken theirs: whichever gives most for least goes first, and
where that leads nowhere all orders are tried, up to ``MOST_TRIED`` states.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor

from midstage.cluster import fit, spread
from midstage.cluster.spread import Spreading
from midstage.contracts.cluster import Amount

MOST_TRIED = 2000
MOST_SEARCHED = 60
"""With more older replicas than these only the greedy order is tried."""
_EPSILON = 1e-9
_UNBOUNDED = 1_000_000


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
        """After it has gone; the order of the others stays."""
        rest = tuple(each for each in self.old if each.uid != old.uid)
        if old.node not in self.left:
            return replace(self, old=rest)
        left, waits = self.freed(old.node, old.takes)
        return replace(
            self,
            old=rest,
            left={**self.left, old.node: left},
            waits=waits,
            slots=self.slots_with(old.node, left),
        )

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


def order(board: Board) -> tuple[Old, ...] | None:
    """All older replicas in an order in which they can be replaced; None: none was found.

    Among those that are alike the order of ``board.old`` is kept.
    """
    greedy = _greedy(board)
    return greedy if greedy is not None else _searched(board)


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


def _greedy(board: Board) -> tuple[Old, ...] | None:
    gone: list[Old] = []
    while board.old:
        for old in _next(board):
            if not board.may_go(old):
                return None
            board = board.without(old)
            gone.append(old)
    return tuple(gone) if board.is_won else None


def _next(board: Board) -> Sequence[Old]:
    """Who does not serve; else those of one node that give most for least; else the next one."""
    idle = [old for old in board.old if not old.serves]
    if idle:
        return idle
    spare = board.spare
    here: dict[str, list[Old]] = {}
    for old in board.old:
        if old.node in board.takers:
            here.setdefault(old.node, []).append(old)
    payable: list[_Chain] = []
    for olds in here.values():
        chain = _chain(board, olds)
        if chain is None or len(chain.old) > spare:
            continue
        if len(chain.old) == 1 and chain.costs <= 0:
            return chain.old  # none gives more for less
        payable.append(chain)
    if not payable:
        return _at_the_emptiest(board)
    places = {old.uid: place for place, old in enumerate(board.old)}
    best = min(payable, key=lambda c: (max(0, c.costs), len(c.old), places[c.old[0].uid]))
    return best.old


def _at_the_emptiest(board: Board) -> Sequence[Old]:
    """Where no node's replicas are enough: of the domain that holds the others back, if any."""
    if not board.spreads:
        return board.old[:1]
    free = board.free
    held = [
        {domain: there + each.counts(free)[domain] for domain, there in counts.items()}
        for each in board.spreads
        for counts in (each.counts(board.beside),)
    ]

    def fullness(old: Old) -> tuple[bool, int]:
        if old.node not in board.takers:
            return (True, 0)
        pairs = zip(board.spreads, held, strict=True)
        return (False, sum(of[each.domains[old.node]] for each, of in pairs))

    return (min(board.old, key=fullness),)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """Those of one node that have to go until a slot is won; ``costs`` less the slots won."""

    old: tuple[Old, ...]
    costs: int


def _chain(board: Board, here: list[Old]) -> _Chain | None:
    here.sort(key=lambda old: (-old.takes.gpus, -old.takes.cpu, -old.takes.memory_mb))
    node, given = here[0].node, Amount()
    for length, old in enumerate(here, start=1):
        given = more(given, old.takes)
        left, _ = board.freed(node, given)
        won = board.slots_with(node, left) - board.slots
        if won > 0:
            return _Chain(old=tuple(here[:length]), costs=length - won)
    return None


def _searched(board: Board) -> tuple[Old, ...] | None:
    """Depth first over who goes next; replicas that are alike on one node are one choice."""
    if len(board.old) > MOST_SEARCHED or not _suffices(board):
        return None
    tried: set[_Position] = set()
    trail: list[tuple[Board, tuple[Old, ...]]] = [(board, ())]
    while trail and len(tried) < MOST_TRIED:
        now, gone = trail.pop()
        if now.is_won:
            return gone
        position = _position(now)
        if position in tried:
            continue
        tried.add(position)
        choices = {_kind(old): old for old in reversed(now.old) if now.may_go(old)}
        trail.extend((now.without(old), (*gone, old)) for old in choices.values())
    return None


def _suffices(board: Board) -> bool:
    """Whether there is room for all once no older one is left; unsure where others wait."""
    if board.waits:
        return True
    for old in board.old:
        board = board.without(old)
    return board.is_won


_Kind = tuple[str, Amount, bool]
_Position = tuple[frozenset[tuple[_Kind, int]], frozenset[tuple[str, Amount]]]


def _position(board: Board) -> _Position:
    """What is left follows from who has gone, but where others may have taken it."""
    left = board.left.items() if board.waits else ()
    return frozenset(Counter(_kind(old) for old in board.old).items()), frozenset(left)


def _kind(old: Old) -> _Kind:
    return old.node, old.takes, old.serves
