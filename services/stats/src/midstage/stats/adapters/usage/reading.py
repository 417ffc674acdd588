"""A question to one shard's ledger, answered from one moment of it, whatever comes in meanwhile."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import duckdb
import msgspec

from midstage.contracts import sketch
from midstage.stats.adapters.rows import Relation, moment
from midstage.stats.adapters.usage.rolled import rolled
from midstage.stats.adapters.usage.statements import Statements
from midstage.stats.adapters.usage.turns import Turns
from midstage.stats.model import Source
from midstage.stats.views.gauges import complete_until
from midstage.stats.views.usage.parts import (
    HASH_BYTES,
    MOST_CELLS,
    MOST_TOLD_APART,
    Group,
    Part,
    Standing,
    too_many,
    too_many_customers,
)
from midstage.stats.views.usage.plan import Piece, Rolled, Table, plan
from midstage.stats.views.usage.question import Key, Measure, Question, Timing
from midstage.stats.views.usage.windows import Stretch, begun, stretches

_Value = int | str | bool | None
_Sum = tuple[str, str, str, *tuple[_Value, ...]]
"""Kind, name and amount in digits, then the key."""
_Number = tuple[int, *tuple[_Value, ...]]
_Counted = tuple[int | None, int, *tuple[_Value, ...]]
T = TypeVar("T")
_Found = tuple[_Value, ...]
"""A key as a statement gave it."""
_ByKey = defaultdict[_Found, T]
_Customers = Mapping[_Found, tuple[int, bytes]]
"""How many of each key, and their hashes."""
_Reading = Callable[[duckdb.DuckDBPyConnection, Statements], _Customers]

_KINDS = ("outcome", "unit", "bytes")
_NOBODY = (0, b"")
_AT_ONCE = 10_000
_AHEAD = timedelta(days=2)
_VERSION = "SELECT shard, version FROM about, heads"
_POSITIONS = "SELECT topic, number, next FROM positions"

# made before threads are: see the traps in docs/architecture.md
_source = msgspec.json.Decoder(Source).decode


class UsageBooks:
    """One shard's usage; may be asked from any thread."""

    def __init__(self, db: duckdb.DuckDBPyConnection, *, rows: Relation, turns: Turns) -> None:
        """Ask the database behind ``db``; ``rows`` says where all raw rows are."""
        self._db = db
        self._rows = rows
        self._turns = turns

    def parts(
        self, question: Question, *, versions: Mapping[int, int] | None, now: datetime
    ) -> Sequence[Part]:
        """The parts of all shards: there is this one, and nobody's customers to add to its own."""
        return [self._part(question, versions, now, customers=_counted)]

    def part(
        self, question: Question, *, versions: Mapping[int, int] | None, now: datetime
    ) -> Part:
        """This shard's part, to be added up; with ``versions`` as it was at its one of them.

        RefusedError where it has too many groups or customers, or memory does not hold them;
        UnavailableError where it is asked too much at once.
        """
        return self._part(question, versions, now, customers=_told_apart)

    def _part(
        self,
        question: Question,
        versions: Mapping[int, int] | None,
        now: datetime,
        *,
        customers: _Reading,
    ) -> Part:
        with self._turns.turn(), moment(self._db) as db:
            standing = _standing(db, now)
            ((shard, newest),) = standing.versions.items()
            version = newest if versions is None else versions.get(shard, 0)
            asking = _statements(question, version=version, derived=rolled(db), now=now)
            if any(piece.table is Table.ROWS for piece in asking.pieces):
                # thousands of files of a month: their names alone take longer than its sums
                asking.rows = self._rows(db, question.since, question.until)
            return Part(standing=standing, groups=_groups(db, asking, customers))


def _groups(
    db: duckdb.DuckDBPyConnection, asking: Statements, customers: _Reading
) -> tuple[Group, ...]:
    question = asking.question
    kinds: dict[str, _ByKey[dict[str, int]]] = {kind: defaultdict(dict) for kind in _KINDS}
    sums: list[_Sum] = _few(_asked(db, asking.sums(), asking).fetchall())
    for row in sums:
        kinds[row[0]][row[3:]][row[1]] = int(row[2])
    wanted = Measure.CUSTOMERS in question.wanted.measures
    named: _Customers = customers(db, asking) if wanted else {}
    buckets: dict[Timing, _ByKey[dict[int | None, int]]] = {}
    for timing in question.wanted.quantiles:
        buckets[timing] = defaultdict(dict)
        counted: list[_Counted] = _few(_asked(db, asking.quantiles(timing), asking).fetchall())
        for bucket, count, *key in counted:
            buckets[timing][tuple(key)][bucket] = count
    outcomes, micros, sizes = (kinds[kind] for kind in _KINDS)
    found = [
        Group(
            key=_key(question, key),
            outcomes=outcomes.get(key, {}),
            micros=micros.get(key, {}),
            bytes_in=sizes.get(key, {}).get("in", 0),
            bytes_out=sizes.get(key, {}).get("out", 0),
            customers=named.get(key, _NOBODY)[0],
            told_apart=named.get(key, _NOBODY)[1],
            sketches={timing: _sketch(of[key]) for timing, of in buckets.items() if key in of},
        )
        for key in dict.fromkeys((*outcomes, *micros, *sizes, *named))
    ]
    return tuple(group for group in found if _holds_something(group))


def _counted(db: duckdb.DuckDBPyConnection, asking: Statements) -> _Customers:
    found: list[_Number] = _few(_asked(db, asking.customers(), asking).fetchall())
    return {row[1:]: (row[0], b"") for row in found}


def _told_apart(db: duckdb.DuckDBPyConnection, asking: Statements) -> _Customers:
    hashes: _ByKey[bytearray] = defaultdict(bytearray)
    left, result = MOST_TOLD_APART, _asked(db, asking.told_apart(), asking)
    while found := result.fetchmany(_AT_ONCE):
        left -= len(found)
        if left < 0:
            raise too_many_customers()
        for digits, *key in found:
            hashes[tuple(key)] += bytes.fromhex(digits)
    return {key: (len(of_it) // HASH_BYTES, bytes(of_it)) for key, of_it in hashes.items()}


def _standing(db: duckdb.DuckDBPyConnection, now: datetime) -> Standing:
    ((shard, version),) = db.execute(_VERSION).fetchall()
    held = db.execute(_POSITIONS).fetchall()
    states = [_source(state) for (state,) in db.execute("SELECT state FROM sources").fetchall()]
    return Standing(
        versions={shard: version},
        positions={f"{topic}/{number}": following for topic, number, following in held},
        complete_until=complete_until(states, now=now),
    )


def _statements(question: Question, *, version: int, derived: Rolled, now: datetime) -> Statements:
    """Of a past before the newest of merged sums only rows tell."""
    stretched = _stretches(question, now)
    rows = (Piece(Table.ROWS, question.since, question.until),)
    return Statements(
        question=question,
        stretches=stretched,
        pieces=rows if version < derived.version else plan(question, stretched, derived),
        version=version,
    )


def _asked(
    db: duckdb.DuckDBPyConnection, statement: str, asking: Statements
) -> duckdb.DuckDBPyConnection:
    """Its result; a statement that was just made binds what ``asking`` holds."""
    bound, asking.bound = asking.bound, {}
    return db.execute(statement, bound)


def _few(found: list[T]) -> list[T]:
    if len(found) > MOST_CELLS:
        raise too_many()
    return found


def _key(question: Question, key: tuple[_Value, ...]) -> Key:
    """The key as the question has it: a window as the instant at which it begins."""
    if question.window is None:
        return key
    local, *dimensions = key
    return (begun(int(local or 0), question.window, question.zone), *dimensions)


def _holds_something(group: Group) -> bool:
    """Whether it has more than sums of nothing, which raw rows give and roll-ups leave out."""
    return bool(
        group.outcomes or group.micros or group.bytes_in or group.bytes_out or group.customers
    )


def _sketch(buckets: Mapping[int | None, int]) -> sketch.Sketch:
    counted = {bucket: count for bucket, count in buckets.items() if bucket is not None}
    return sketch.tallied(counted, zeros=buckets.get(None, 0))


def _stretches(question: Question, now: datetime) -> tuple[Stretch, ...]:
    if question.window is None or question.since is None:
        return ()
    until = question.until or max(now + _AHEAD, question.since)
    return stretches(question.zone, since=question.since, until=until)
