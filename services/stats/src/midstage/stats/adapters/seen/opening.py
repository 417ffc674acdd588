"""Opens the hashes that belong to a ledger, and makes them again where they are lost.

What lies above their mark and has left the ledger for its archive is read from there, some rows at
a time, and sealed as it goes: so it can die anywhere and goes on from its mark. Rows older than
anybody asks for are left out.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from midstage.chassis.logs import logger
from midstage.eventlog.failpoint import Failpoint
from midstage.stats.adapters.archive import Archive
from midstage.stats.adapters.columns import utc
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.rows import Bounds, beside
from midstage.stats.adapters.seen import HashFiles
from midstage.stats.adapters.seen.hashes import NO_HASHES, Hashes
from midstage.stats.adapters.seen.layout import KEPT
from midstage.stats.decide import hashed

ROWS_AT_ONCE = 200_000
_FIRST = "SELECT coalesce(min(row) - 1, $upto) FROM {rows} AS held WHERE recorded_at >= $since"
_EVENTS = """
SELECT source, id FROM {rows} AS held WHERE row > $after AND row <= $upto AND seq IS NULL
"""

_log = logger(__name__)


def opened(
    ledger_file: Path,
    *,
    ledger: DuckdbLedger,
    now: Callable[[], datetime],
    reached: Failpoint,
    seal_at: int,
) -> HashFiles:
    """The hashes beside the ledger's file: they belong together.

    Raises UnavailableError where they are damaged and can't be read from ledger or archive again.
    """
    archive = Archive(ledger, directory=beside(ledger_file))
    left_upto = ledger.archived_upto()
    seen = HashFiles(
        ledger_file.with_name(f"{ledger_file.name}.seen"),
        ledger=ledger.name(),
        last_row=ledger.row(),
        left_upto=left_upto,
        lacking=lambda mark: archive.damaged(after_row=mark),
        now=now,
        reached=reached,
        seal_at=seal_at,
    )
    if seen.mark() < left_upto:
        _log.warning("seen_read_from_archive", after_row=seen.mark(), upto_row=left_upto)
        since = now() - KEPT
        for marks, row in _left(archive, after=seen.mark(), upto=left_upto, since=since):
            seen.absorb(marks, row=row)
        seen.seal()
    return seen


def _left(
    archive: Archive, *, after: int, upto: int, since: datetime
) -> Iterator[tuple[Hashes, int]]:
    """Hashes of unnumbered events committed from ``since`` on, by rows, and the row they go to."""
    with archive.rows(Bounds(after_row=after, upto_row=upto)) as (db, rows):
        asked = {"since": utc(since), "upto": upto}
        ((first,),) = db.execute(_FIRST.format(rows=rows), asked).fetchall()
    begin = max(after, int(first))
    yield NO_HASHES, begin
    for row in range(begin, upto, ROWS_AT_ONCE):
        end = min(row + ROWS_AT_ONCE, upto)
        with archive.rows(Bounds(after_row=row, upto_row=end)) as (db, rows):
            asked_rows = {"after": row, "upto": end}
            found = db.execute(_EVENTS.format(rows=rows), asked_rows).fetchall()
        yield hashed(found) if found else NO_HASHES, end
