"""In which order older replicas go so that new ones find room and enough stay ready.

New replicas are all alike, so what counts is how many more find room, the slots; where the
scheduler puts one does not matter (under several spreads it does: ``several``). A replica that goes
costs one that is ready, and may make slots once pods of others that wait have taken theirs:
whichever gives most for least goes first, and where that leads nowhere all orders are tried, up to
``MOST_TRIED`` states.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from midstage.contracts.cluster import Amount
from midstage.deploy.decide.board import Board, Kind, Old, kind_of, more
from midstage.deploy.decide.several import UndecidedError, game

MOST_TRIED = 2000
MOST_SEARCHED = 60
"""With more older replicas than these only the greedy order is tried."""


def order(board: Board) -> tuple[Old, ...] | None:
    """All older replicas in an order in which they can be replaced; None: none was found.

    Among those that are alike the order of ``board.old`` is kept.
    """
    if len(board.spreads) > 1:
        try:
            return game(board)
        except UndecidedError:
            return _greedy(board)
    greedy = _greedy(board)
    return greedy if greedy is not None else _searched(board)


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
        choices = {kind_of(old): old for old in reversed(now.old) if now.may_go(old)}
        trail.extend((now.without(old), (*gone, old)) for old in choices.values())
    return None


def _suffices(board: Board) -> bool:
    """Whether there is room for all once no older one is left; unsure where others wait."""
    if board.waits:
        return True
    for old in board.old:
        board = board.without(old)
    return board.is_won


_Position = tuple[frozenset[tuple[Kind, int]], frozenset[tuple[str, Amount]]]


def _position(board: Board) -> _Position:
    """What is left follows from who has gone, but where others may have taken it."""
    left = board.left.items() if board.waits else ()
    return frozenset(Counter(kind_of(old) for old in board.old).items()), frozenset(left)
