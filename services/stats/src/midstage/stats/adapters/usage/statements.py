"""What a question is in SQL; whatever a caller said is bound, never written into a statement.

Each statement gives sums by the question's key: columns ``k0``, ``k1``, …; a window comes first, in
microseconds since 1970, local where it begins by the calendar. Roll-ups are partial sums that are
added here; rows and sums of later versions are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from midstage.stats.adapters.columns import bucket, utc
from midstage.stats.views.usage.parts import HASH_BYTES, MOST_CELLS, MOST_TOLD_APART
from midstage.stats.views.usage.plan import Piece, Table
from midstage.stats.views.usage.question import (
    LABEL,
    Dimension,
    Measure,
    Question,
    Timing,
    Value,
    Window,
)
from midstage.stats.views.usage.windows import Stretch, is_local

Bound = Value | float | datetime | Sequence[Value]

_OF = {Timing.LATENCY: "duration_ms", Timing.FIRST_TOKEN: "ttft_ms"}
_LONG_AGO = "TIMESTAMP '0001-01-01'"


@dataclass(slots=True, kw_only=True)
class Statements:
    """The statements of one question on one file, and what is bound in them.

    ``rows`` is the relation of all raw rows.
    """

    question: Question
    stretches: Sequence[Stretch]
    pieces: Sequence[Piece]
    version: int
    rows: str = "requests"
    bound: dict[str, Bound] = field(default_factory=dict)

    @property
    def keys(self) -> str:
        """The key's columns by name, with a comma behind."""
        return "".join(f"k{i}, " for i in range(len(self.question.names)))

    @property
    def then_keys(self) -> str:
        """The same with a comma before."""
        return "".join(f", k{i}" for i in range(len(self.question.names)))

    def sums(self) -> str:
        """Kind, name, amount in digits, keys: requests by outcome, billed micro-units, bytes.

        A sum over no rows, which a statement without keys gives, is no sum. Digits, because Python
        reads them in half the time that DuckDB takes to make an integer of 128 bits.
        """
        added = " UNION ALL ".join(self._summed(piece) for piece in self.pieces) or self._nothing()
        return (
            f"SELECT kind, name, sum(amount)::HUGEINT::VARCHAR{self.then_keys} FROM ({added}) "
            f"WHERE amount IS NOT NULL GROUP BY ALL LIMIT {MOST_CELLS + 1}"
        )

    def customers(self) -> str:
        """How many customers, and keys; no name leaves the database."""
        return (
            f"SELECT count(DISTINCT who){self.then_keys} FROM ({self._customers()}) "
            f"{self._by_keys()} LIMIT {MOST_CELLS + 1}"
        )

    def told_apart(self) -> str:
        """Each customer's hash in hexadecimal digits, once with each of its keys.

        Not put together here, where that would have to fit into the ledger's memory.
        """
        hashed = f"left(sha256(who), {2 * HASH_BYTES})"
        return (
            f"SELECT DISTINCT {hashed}{self.then_keys} FROM ({self._customers()}) "
            f"LIMIT {MOST_TOLD_APART + 1}"
        )

    def quantiles(self, timing: Timing) -> str:
        """DDSketch bucket (NULL: too small for one), how many values lie in it, and keys."""
        (piece,) = self.pieces
        value = _OF[timing]
        counted = (
            f"SELECT {self._keys(piece)}{bucket(value)} AS bucket, count(*) AS n FROM {self.rows} "
            f"WHERE {self._where(piece)} AND kind = 'request' AND {value} IS NOT NULL "
            f"GROUP BY ALL LIMIT {MOST_CELLS + 1}"
        )
        return f"SELECT bucket, n{self.then_keys} FROM ({counted})"

    def _left_out(self) -> Iterator[str]:
        """The kinds that were not asked for; outcomes always are."""
        if self.question.wanted.units == frozenset():
            yield "unit"
        if not self.question.wanted.measures & {Measure.BYTES_IN, Measure.BYTES_OUT}:
            yield "bytes"

    def _summed(self, piece: Piece) -> str:
        if piece.table is Table.ROWS:
            return self._counted(piece)
        others = "".join(f"AND kind <> '{kind}' " for kind in self._left_out())
        return (
            f"SELECT {self._keys(piece)}kind, name, amount FROM {piece.table.value} "
            f"WHERE {self._where(piece)} {others}{self._units('name', piece)}"
        )

    def _counted(self, piece: Piece) -> str:
        keys, where = self._keys(piece), self._where(piece)
        requests = f"FROM {self.rows} WHERE {where} AND kind = 'request' GROUP BY ALL"
        parts = [f"SELECT {keys}'outcome' AS kind, outcome AS name, count(*) AS amount {requests}"]
        left_out = set(self._left_out())
        if "unit" not in left_out:
            parts.append(
                f"SELECT {self.keys}'unit', used.key, sum(used.value) "
                f"FROM (SELECT {keys}unnest(map_entries(usage)) AS used FROM {self.rows} "
                f"WHERE {where} AND billed) WHERE TRUE {self._units('used.key', piece)}"
                "GROUP BY ALL"
            )
        if "bytes" not in left_out:
            parts += [
                f"SELECT {keys}'bytes', '{way}', sum(bytes_{way}) {requests}"
                for way in ("in", "out")
            ]
        return " UNION ALL ".join(parts)

    def _customers(self) -> str:
        return " UNION ALL ".join(self._named(piece) for piece in self.pieces) or self._nothing()

    def _by_keys(self) -> str:
        return f"GROUP BY {self.keys[:-2]}" if self.keys else ""

    def _named(self, piece: Piece) -> str:
        keys, where = self._keys(piece), self._where(piece)
        if piece.table is Table.ROWS:
            counted = "(kind = 'request' OR (billed AND cardinality(usage) > 0))"
            return (
                f"SELECT DISTINCT {keys}customer AS who FROM {self.rows} "
                f"WHERE {where} AND {counted}"
            )
        return (
            f"SELECT DISTINCT {keys}customer AS who FROM {piece.table.value} "
            f"WHERE {where} AND kind <> 'bytes'"
        )

    def _nothing(self) -> str:
        keys = "".join(f"NULL AS k{i}, " for i in range(len(self.question.names)))
        return f"SELECT {keys}'' AS kind, '' AS name, 0 AS amount, '' AS who WHERE FALSE"

    def _units(self, column: str, piece: Piece) -> str:
        """Only the units that were asked for; without ``kind``, rows of units are all there are."""
        wanted = self.question.wanted.units
        if not wanted:
            return ""
        only = f"list_contains({self._bind(sorted(wanted))}, {column})"
        return f"AND {only} " if piece.table is Table.ROWS else f"AND (kind <> 'unit' OR {only}) "

    def _keys(self, piece: Piece) -> str:
        found = [self._dimension(name) for name in self.question.group_by]
        if self.question.window is not None:
            found.insert(0, self._window(self.question.window, piece.table.time))
        return "".join(f"{one} AS k{i}, " for i, one in enumerate(found))

    def _where(self, piece: Piece) -> str:
        time = piece.table.time
        upto = self.version if piece.upto is None else piece.upto
        conditions = [f"version <= {self._bind(upto)}"]
        if piece.above:
            conditions.append(f"version > {self._bind(piece.above)}")
        if piece.since is not None:
            conditions.append(f"{time} >= {self._bind(utc(piece.since))}")
        if piece.until is not None:
            conditions.append(f"{time} < {self._bind(utc(piece.until))}")
        for name, values in self.question.among.items():
            conditions.append(f"list_contains({self._bind(list(values))}, {self._dimension(name)})")
        return " AND ".join(conditions)

    def _dimension(self, name: str) -> str:
        if name.startswith(LABEL):
            return f"labels[{self._bind(name.removeprefix(LABEL))}]"
        return Dimension(name).value  # nothing but one of our own words gets into a statement

    def _window(self, window: Window, time: str) -> str:
        """The window's beginning; the clock of its zone may have been set meanwhile."""
        *earlier, last = [self._truncated(window, time, i) for i in range(len(self.stretches))]
        if not earlier:
            return f"epoch_us({last})"
        ends = [self._bind(utc(stretch.begin)) for stretch in self.stretches[1:]]
        cases = " ".join(
            f"WHEN {time} < {end} THEN {one}" for end, one in zip(ends, earlier, strict=True)
        )
        return f"epoch_us(CASE {cases} ELSE {last} END)"

    def _truncated(self, window: Window, time: str, i: int) -> str:
        stretch = self.stretches[i]
        offset = f"to_microseconds({self._bind(_micros(stretch))})"
        local = f"date_trunc('{window.value}', {time} + {offset})"
        if is_local(window):
            return f"{local}::TIMESTAMP"
        begin = self._bind(utc(stretch.begin)) if i else _LONG_AGO
        return f"greatest({local} - {offset}, {begin})"

    def _bind(self, value: Bound) -> str:
        name = f"p{len(self.bound)}"
        self.bound[name] = value
        return f"${name}"


def _micros(stretch: Stretch) -> int:
    return int(stretch.offset.total_seconds()) * 1_000_000
