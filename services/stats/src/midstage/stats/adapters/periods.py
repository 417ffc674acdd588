"""A shard's part of each period: taken when it seals, in one transaction, and made again from rows.

A seal is the row at which a period is cut. Sums up to it come from the roll-ups, which hold just
these rows at that moment; what it keeps is made again from the raw rows, wherever they are now.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import msgspec

from midstage.contracts.billing import OpenGap, Position, Seal
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.stats.adapters import cuts
from midstage.stats.adapters.archive import Archive, Books
from midstage.stats.adapters.columns import utc
from midstage.stats.adapters.duckdb import Writing
from midstage.stats.adapters.rows import Bounds, enough_memory, moment
from midstage.stats.decide.billing import Late, Open, Part
from midstage.stats.decide.periods import Accepted, Period, complete, following, gaps
from midstage.stats.decide.told import Counted, Told, told
from midstage.stats.model import Source

_SEALED = """
SELECT period, since, until, zone, row FROM sealed JOIN seals USING (period) ORDER BY since
"""
_PART = "SELECT part FROM sealed WHERE period = ?"
_SOURCE_HOURS = """
SELECT source, hour, sum(rows)::BIGINT, min(first_seq), max(last_seq) FROM source_hours
WHERE {where} GROUP BY ALL
"""

# made before threads are: see the traps in docs/architecture.md
_source = msgspec.json.Decoder(Source).decode
_part = msgspec.json.Decoder(Part).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A sealed period, and the last row of this shard that is on its statement."""

    period: Period
    row: int


class Periods:
    """The periods of one shard's ledger; any thread may ask."""

    def __init__(
        self,
        books: Books,
        archive: Archive,
        *,
        shard: int,
        now: Callable[[], datetime],
        grace: timedelta,
        reached: Failpoint = nothing,
    ) -> None:
        """Keep seals in the ledger of ``books``; its own table is made where it is missing."""
        self._books = books
        self._archive = archive
        self._shard = shard
        self._now = now
        self._grace = grace
        self._reached = reached
        with books.writing() as writing:
            writing.db.execute(cuts.TABLE)
            self._db = writing.db.cursor()

    def told(self) -> tuple[Told, ...]:
        """Every source in time, as it is now."""
        with moment(self._db) as db:
            return self._told(db)

    def watched(self) -> tuple[Told, ...]:
        """The same for who looks often: hours are read only of sources that need them."""
        with moment(self._db) as db:
            sources = _sources(db)
            asked = [one.name for one in sources if one.holes or not (one.beat or one.closing)]
            counted = _counted(db, asked) if asked else []
        return told(sources, counted, now=self._now(), grace=self._grace)

    def counted(self) -> list[Counted]:
        """What is there of each source and hour."""
        with moment(self._db) as db:
            return _counted(db)

    def gaps(self, period: Period) -> tuple[OpenGap, ...]:
        """What this shard may lack of a period."""
        return gaps(self.told(), period)

    def sealed(self) -> list[Cut]:
        """The sealed periods in the order of their time, which is that of their rows."""
        with moment(self._db) as db:
            return _sealed(db)

    def part(self, name: str) -> Part | None:
        """What was kept when the period was sealed; None where it was not."""
        with moment(self._db) as db:
            found = db.execute(_PART, [name]).fetchall()
        return _part(found[0][0]) if found else None

    def seal(self, period: Period, accepted: Accepted, after: str | None = None) -> Part:
        """Seal the period, or give what was sealed before; RefusedError where that can't be.

        ``after`` is the period that was closed last.
        """
        with enough_memory(), self._books.writing() as writing:
            held = _sealed(writing.db)
            if following(period, [cut.period for cut in held], after=after):
                return _kept(writing.db, period)
            missing = gaps(self._told(writing.db), period)
            complete(period, missing, accepted)
            part = self._cut(writing, period, held, missing)
            _put_down(writing, period, part)
            self._reached("seal:sealing")
        self._reached("seal:sealed")
        return part

    def remade(self, name: str) -> Part | None:
        """The part made again from raw rows alone; only what was missing is as it was kept."""
        kept = self.part(name)
        if kept is None:
            return None
        held = self.sealed()
        at = next(number for number, cut in enumerate(held) if cut.period.name == name)
        period, before = held[at].period, held[at - 1] if at else None
        row = kept.seal.row
        bounds = Bounds(since=period.since, until=period.until, upto_row=row)
        with self._archive.rows(bounds) as (db, rows):
            lines = cuts.lines_of_rows(db, rows, period, row)
            sources = cuts.tallies_of_rows(db, rows, period.since, period.until, row)
        return Part(
            seal=kept.seal,
            lines=lines,
            late=self._late(before, before=period.since, upto_row=row),
            sources=sources,
            gaps=kept.gaps,
        )

    def opened(self, upto_row: int) -> Open | None:
        """What came late up to ``upto_row``; None where no period was sealed yet."""
        held = self.sealed()
        if not held:
            return None
        last = held[-1]
        return Open(
            since=last.period.until,
            after_row=last.row,
            upto_row=upto_row,
            late=self._late(last, before=last.period.until, upto_row=upto_row),
        )

    def _told(self, db: duckdb.DuckDBPyConnection) -> tuple[Told, ...]:
        return told(_sources(db), _counted(db), now=self._now(), grace=self._grace)

    def _cut(
        self, writing: Writing, period: Period, held: Sequence[Cut], missing: tuple[OpenGap, ...]
    ) -> Part:
        return Part(
            seal=Seal(
                shard=self._shard,
                row=writing.row,
                version=writing.version,
                positions=tuple(
                    sorted(
                        Position(topic=place.topic, number=place.number, next=following)
                        for place, following in writing.positions.items()
                    )
                ),
                sealed_at=writing.at,
            ),
            lines=cuts.lines_of_sums(writing.db, period),
            late=self._late(held[-1] if held else None, before=period.since, upto_row=writing.row),
            sources=cuts.tallies(writing.db, self._archive, period, writing.row),
            gaps=missing,
        )

    def _late(self, last: Cut | None, *, before: datetime, upto_row: int) -> tuple[Late, ...]:
        """Rows after the last seal that belong before the period; none where it is the first."""
        if last is None or upto_row <= last.row:
            return ()
        bounds = Bounds(until=before, after_row=last.row, upto_row=upto_row)
        with self._archive.rows(bounds) as (db, rows):
            return cuts.late(db, rows, before=before, after_row=last.row, upto_row=upto_row)


def _sources(db: duckdb.DuckDBPyConnection) -> list[Source]:
    return [_source(state) for (state,) in db.execute("SELECT state FROM sources").fetchall()]


def _counted(db: duckdb.DuckDBPyConnection, sources: Sequence[str] | None = None) -> list[Counted]:
    """Of these sources; None: of all."""
    if sources is None:
        found = db.execute(_SOURCE_HOURS.format(where="TRUE")).fetchall()
    else:
        found = db.execute(
            _SOURCE_HOURS.format(where="list_contains($names, source)"), {"names": list(sources)}
        ).fetchall()
    return [
        Counted(
            source=source,
            hour=hour.replace(tzinfo=UTC),
            rows=rows,
            first_seq=first,
            last_seq=last,
        )
        for source, hour, rows, first, last in found
    ]


def _sealed(db: duckdb.DuckDBPyConnection) -> list[Cut]:
    return [
        Cut(
            period=Period(
                name=name,
                since=since.replace(tzinfo=UTC),
                until=until.replace(tzinfo=UTC),
                zone=zone,
            ),
            row=row,
        )
        for name, since, until, zone, row in db.execute(_SEALED).fetchall()
    ]


def _kept(db: duckdb.DuckDBPyConnection, period: Period) -> Part:
    ((part,),) = db.execute(_PART, [period.name]).fetchall()
    return _part(part)


def _put_down(writing: Writing, period: Period, part: Part) -> None:
    positions = msgspec.json.encode(part.seal.positions).decode()
    writing.db.execute(
        "INSERT INTO seals (period, row, version, positions, sealed_at) VALUES (?, ?, ?, ?, ?)",
        [period.name, part.seal.row, part.seal.version, positions, utc(writing.at)],
    )
    writing.db.execute(
        "INSERT INTO sealed VALUES (?, ?, ?, ?, ?)",
        [
            period.name,
            utc(period.since),
            utc(period.until),
            period.zone,
            msgspec.json.encode(part).decode(),
        ],
    )
