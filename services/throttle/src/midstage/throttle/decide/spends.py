"""What the log says of counters, by who counts: the fold of ``midstage.spends.v1``.

The newest record of a key counts, as it is absolute; but for one whose writer did not hold the
partition when the log took it: that one is named to whoever holds it, who writes his own again,
for compaction would keep the wrong one. Folding a record twice changes nothing. There may be a
million counters: a claim stays as it is written until somebody asks for it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

import msgspec

from midstage.contracts.fact import Name
from midstage.contracts.limits import CONCURRENCY
from midstage.contracts.spends import (
    MOST_UNANSWERED,
    Epoch,
    Unanswered,
)
from midstage.throttle.decide import rested
from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.claims.slots import SlotClaims
from midstage.throttle.decide.holders import Heard, HolderFact, Holders
from midstage.throttle.decide.rested import Rested
from midstage.throttle.model.limits import Key, Whose

_numbers: Final = msgspec.json.Decoder(list[str])
_BETWEEN: Final = b"\n"
_SLOTS: Final = f"{SlotClaims.algorithm} of {CONCURRENCY}"
_GONE: Final = b""
"""In place of what stood, until its place in the ring is come to."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Of a ``RoomTaken`` what decides; ``standing`` as it is written, which is ``numbers``."""

    limit: Name
    customer: Name
    key: Annotated[str, msgspec.Meta(max_length=256)] = ""
    units: int
    algorithm: Name
    standing: msgspec.Raw
    owner: Name
    epoch: Epoch
    unanswered: Annotated[tuple[Unanswered, ...], msgspec.Meta(max_length=MOST_UNANSWERED)] = ()

    @property
    def counter(self) -> Key:
        """Which one it is."""
        return (self.limit, self.customer, self.key)


class Cleared(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Nothing stands under ``key`` any more, if ``owner`` held the partition under ``epoch``."""

    key: Key
    owner: str
    epoch: int


Said = Cleared | HolderFact
"""What a record may say that is no claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """How a counter stands in the log; ``rested``: and what who let go of it here knew beside."""

    algorithm: str
    claim: Standing
    unanswered: tuple[Unanswered, ...] = ()
    rested: Rested | None = None


class _Counters:
    """Those of one limit: how each stands, and a ring of whose they are, looked at in turn."""

    __slots__ = ("ring", "stood")

    def __init__(self) -> None:
        self.stood: dict[Whose, bytes] = {}
        self.ring: deque[Whose] = deque()


class Spends:
    """Changes in place; belongs to one thread at a time."""

    def __init__(self) -> None:
        """Nothing was ever spent."""
        self.holders = Holders()
        self._naming: dict[Key, tuple[Unanswered, ...]] = {}
        self._of_slots: set[Key] = set()
        self._limits: dict[str, _Counters] = {}
        self._turns: deque[str] = deque()
        self._count = 0
        self._algorithms: list[str] = []

    def __len__(self) -> int:
        """How many counters stand."""
        return self._count

    def stood(self, key: Key) -> Stood | None:
        """How the counter stands; None where nothing does."""
        counters = self._limits.get(key[0])
        written = _GONE if counters is None else counters.stood.get(_whose(key), _GONE)
        return self._read(written, key) if written else None

    def rest(self, key: Key, known: Rested) -> bool:
        """Keep that beside what stands, until anything else does; False where nothing stands."""
        counters, whose = self._limits.get(key[0]), _whose(key)
        written = _GONE if counters is None else counters.stood.get(whose, _GONE)
        if counters is None or not written:
            return False
        standing, _, algorithm = written.split(_BETWEEN)
        beside = rested.written(known, numbers(standing))
        counters.stood[whose] = _BETWEEN.join((standing, beside, algorithm))
        return True

    def resting(self) -> Sequence[Key]:
        """Beside which something is kept."""
        return [
            _key(limit, whose)
            for limit, counters in self._limits.items()
            for whose, written in counters.stood.items()
            if written and written.split(_BETWEEN)[1]
        ]

    def unanswered(
        self, concerned: Callable[[str], bool]
    ) -> Sequence[tuple[Key, tuple[Unanswered, ...]]]:
        """Of these customers' counters, the requests that may not have been answered."""
        return [(key, named) for key, named in self._naming.items() if concerned(key[1])]

    def of_slots(self, concerned: Callable[[str], bool]) -> frozenset[str]:
        """Those of these customers whose requests may hold slots."""
        return frozenset(key[1] for key in self._of_slots if concerned(key[1]))

    def apply(self, fact: Said, partition: int) -> Heard:
        """Fold a record of this partition that is no claim."""
        if isinstance(fact, Cleared):
            return self._cleared(fact, partition)
        return self.holders.apply(fact, partition)

    def claimed(  # noqa: C901  a call for each of a million would cost a second
        self, claims: Sequence[Claimed], partition: int
    ) -> Sequence[Claimed]:
        """Fold these, in order; those that do not count, as another one held the partition.

        There may be a million at once, so what they have in common is looked up once.
        """
        over: list[Claimed] = []
        name, counters, algorithm, rest = "", _Counters(), "", b""
        owner, epoch = "", 0
        for fact in claims:
            if fact.epoch != epoch or fact.owner != owner:
                if self.holders.heard(fact.owner, fact.epoch, partition) is Heard.OVER:
                    over.append(fact)
                    continue
                owner, epoch = fact.owner, fact.epoch
            if fact.limit != name:
                name, counters = fact.limit, self._of(fact.limit)
            if fact.algorithm != algorithm:
                algorithm, rest = fact.algorithm, _BETWEEN * 2 + self._numbered(fact.algorithm)
            whose = (fact.customer, fact.key) if fact.key else fact.customer
            before = counters.stood.get(whose)
            if before is None:
                counters.ring.append(whose)
            if not before:
                self._count += 1
            counters.stood[whose] = b"".join((fact.standing, rest))
            if fact.unanswered or fact.algorithm == _SLOTS or self._naming or self._of_slots:
                self._note(fact)
        return over

    def in_turn(self, most: int) -> Sequence[tuple[Key, Stood]]:
        """Up to ``most`` counters that stand, of a few limits; others the next time."""
        found: list[tuple[Key, Stood]] = []
        for _ in range(min(len(self._turns), most)):
            limit = self._turns.popleft()
            counters = self._limits[limit]
            for _ in range(min(len(counters.ring), most - len(found))):
                whose = counters.ring.popleft()
                written = counters.stood[whose]
                if not written:
                    del counters.stood[whose]
                    continue
                counters.ring.append(whose)
                key = _key(limit, whose)
                stood = replace(self._read(written, key), rested=None)
                found.append((key, stood))
            if counters.ring:
                self._turns.append(limit)
            else:
                del self._limits[limit]
            if len(found) >= most:
                break
        return found

    def _numbered(self, algorithm: str) -> bytes:
        """There are few of them, and a million counters by each."""
        if algorithm not in self._algorithms:
            self._algorithms.append(algorithm)
        return b"%d" % self._algorithms.index(algorithm)

    def _read(self, written: bytes, key: Key) -> Stood:
        standing, beside, algorithm = written.split(_BETWEEN)
        claim = numbers(standing)
        return Stood(
            algorithm=self._algorithms[int(algorithm)],
            claim=claim,
            unanswered=self._naming.get(key, ()),
            rested=rested.read(beside, claim) if beside else None,
        )

    def _of(self, limit: str) -> _Counters:
        counters = self._limits.get(limit)
        if counters is None:
            counters = self._limits[limit] = _Counters()
            self._turns.append(limit)
        return counters

    def _note(self, fact: Claimed) -> None:
        """Whether it names requests, and whether it is of slots."""
        key = fact.counter
        if fact.unanswered:
            self._naming[key] = fact.unanswered
        else:
            self._naming.pop(key, None)
        if fact.algorithm == _SLOTS:
            self._of_slots.add(key)
        else:
            self._of_slots.discard(key)

    def _cleared(self, fact: Cleared, partition: int) -> Heard:
        """As if nobody had ever written it."""
        if self.holders.heard(fact.owner, fact.epoch, partition) is Heard.OVER:
            return Heard.OVER
        counters, whose = self._limits.get(fact.key[0]), _whose(fact.key)
        if counters is not None and counters.stood.get(whose):
            counters.stood[whose] = _GONE
            self._count -= 1
            self._naming.pop(fact.key, None)
            self._of_slots.discard(fact.key)
        return Heard.COUNTS


def numbers(standing: bytes | msgspec.Raw) -> Standing:
    """What a claim says that counts, or is refused."""
    return tuple([int(number) for number in _numbers.decode(standing)])


def _key(limit: str, whose: Whose) -> Key:
    return (limit, whose, "") if isinstance(whose, str) else (limit, *whose)


def _whose(key: Key) -> Whose:
    return key[1:] if key[2] else key[1]
