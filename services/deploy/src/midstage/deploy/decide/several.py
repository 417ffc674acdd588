"""Replacing under several required spreads: wherever the scheduler puts each new replica.

Of one spread it does not matter which of the places is taken first. Of several it does: a replica
in a bad place may shut out all others for ever, and which place is taken is the scheduler's choice.
So it is played as a game: who goes next is chosen here, every place it may take has to lead to the
end. New replicas are asked for as soon as they may be; to wait would only give it more choice.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from midstage.cluster import fit, spread
from midstage.contracts.cluster import Amount
from midstage.deploy.decide.board import Board, Kind, Old, kind_of

MOST_TRIED = 500
"""Positions; a game with more is not decided."""
MOST_REPLICAS = 24
"""Older and new ones together."""

_Position = tuple[frozenset[tuple[Kind, int]], frozenset[tuple[str, int]], frozenset[object]]


class UndecidedError(Exception):
    """The game is too large."""


def game(board: Board) -> tuple[Old, ...] | None:
    """All older replicas in an order in which they can be replaced, whatever the scheduler chooses;
    None: there is none.

    Only the first of them is sure: who goes after it depends on what it chooses. UndecidedError.
    """
    if len(board.old) + board.count > MOST_REPLICAS:
        raise UndecidedError
    return _Game().won(replace(board, slots=0))


@dataclass(slots=True)
class _Game:
    """Each position is decided once."""

    known: dict[_Position, tuple[Old, ...] | None] = field(default_factory=dict)

    def won(self, board: Board) -> tuple[Old, ...] | None:
        """How it is won from here."""
        position = _position(board)
        if position not in self.known:
            if len(self.known) >= MOST_TRIED:
                raise UndecidedError
            self.known[position] = None  # no way leads back to where it came from
            self.known[position] = self._played(board)
        return self.known[position]

    def _played(self, board: Board) -> tuple[Old, ...] | None:
        if after := _places(board):
            found: tuple[Old, ...] | None = None
            for each in after:
                found = self.won(each)
                if found is None:
                    return None
            return found
        if board.is_won:
            return ()
        for old in {kind_of(each): each for each in reversed(board.old)}.values():
            if board.may_go(old):
                rest = self.won(board.vacated(old))
                if rest is not None:
                    return (old, *rest)
        return None


def _places(board: Board) -> list[Board]:
    """After one more new replica on each node that may have it now; nodes that are alike once."""
    if board.placed >= min(board.count, board.count + board.surge - len(board.old)):
        return []
    found: dict[object, Board] = {}
    for node, more in board.free.items():
        if more > 0 and not spread.refusal(board.spreads, node, board.beside):
            found.setdefault(_alike(board, node), _with(board, node))
    return list(found.values())


def _with(board: Board, node: str) -> Board:
    beside: Mapping[str, int] = Counter(board.beside) + Counter({node: 1})
    left = {**board.left, node: fit.less(board.left[node], board.asks)}
    return replace(board, left=left, beside=beside, placed=board.placed + 1)


def _alike(board: Board, node: str) -> tuple[object, ...]:
    here = Counter((old.takes, old.serves) for old in board.old if old.node == node)
    waits = tuple(node in each.nodes for each in board.waits)
    domains = tuple(each.domains[node] for each in board.spreads)
    return _amounts(board.left[node]), frozenset(here.items()), waits, domains


def _position(board: Board) -> _Position:
    left = ((node, _amounts(each)) for node, each in board.left.items()) if board.waits else ()
    olds = Counter(kind_of(old) for old in board.old)
    return frozenset(olds.items()), frozenset(board.beside.items()), frozenset(left)


def _amounts(amount: Amount) -> tuple[float, int, int]:
    return amount.cpu, amount.memory_mb, amount.gpus
