"""What runs for billing: gaps and late sums into the log, old rows into the archive, closing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from midstage.eventlog.failpoint import Failpoint
from midstage.stats.adapters.archive import Archive
from midstage.stats.adapters.periods import Periods
from midstage.stats.stream.archiving import Archiving
from midstage.stats.stream.closing import Closing, Shard
from midstage.stats.stream.gaps import BillingLog, Gaps
from midstage.stats.stream.late import Lates, Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookkeeping:
    """The loops of one shard, and what closes the periods of all."""

    closing: Closing
    loops: Sequence[Gaps | Lates | Archiving]


def bookkeeping(
    own: Periods,
    *,
    far: Sequence[Shard],
    log: BillingLog,
    archive: Archive,
    rows: Rows,
    upto_row: Callable[[], int],
    shard: int,
    grace: timedelta,
    kept: timedelta,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    reached: Failpoint,
) -> Bookkeeping:
    """``own`` is this shard, ``far`` are the others; rows up to ``upto_row`` may be archived."""
    return Bookkeeping(
        closing=Closing(
            log=log,
            shards=[own, *far],
            sealed=lambda: [cut.period for cut in own.sealed()],
            now=now,
            reached=reached,
        ),
        loops=[
            Gaps(log=log, told=own.told, now=now, new_id=new_id, shard=shard, grace=grace),
            Lates(log=log, rows=rows, opened=own.opened, now=now, new_id=new_id, shard=shard),
            Archiving(archive=archive, now=now, kept=kept, upto_row=upto_row),
        ],
    )
