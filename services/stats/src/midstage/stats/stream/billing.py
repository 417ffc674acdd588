"""What runs for billing: gaps and late sums into the log, old rows into the archive, closing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from midstage.contracts.billing import BillingFact
from midstage.contracts.topics import Topic
from midstage.eventlog.failpoint import Failpoint
from midstage.eventlog.log import Log
from midstage.eventlog.versions import Versions
from midstage.stats.adapters.archive import Archive
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.periods import Periods
from midstage.stats.adapters.shards import in_order
from midstage.stats.decide.billing import Account, evolve
from midstage.stats.stream.archiving import Archiving
from midstage.stats.stream.closing import Closing, Shard
from midstage.stats.stream.gaps import BillingLog, Gaps
from midstage.stats.stream.late import Lates


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookkeeping:
    """The archive, the periods and the loops of one shard, and what closes the periods of all."""

    archive: Archive
    own: Periods
    closing: Closing
    loops: Sequence[Gaps | Lates | Archiving]


def accounts(
    *,
    log: Log,
    topic: Topic,
    engine: str,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    reached: Failpoint,
) -> Versions[Account, BillingFact]:
    """What the log of billing says; a command is known again for ever."""
    return Versions[Account, BillingFact](
        log=log,
        topic=topic,
        initial=Account(),
        evolve=evolve,
        engine=engine,
        now=now,
        monotonic=monotonic,
        reached=reached,
        remembered_for=None,
    )


def bookkeeping(
    ledger: DuckdbLedger,
    *,
    directory: Path,
    far: Sequence[Shard],
    log: BillingLog,
    upto_row: Callable[[], int],
    shard: int,
    grace: timedelta,
    kept: timedelta,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    reached: Failpoint,
) -> Bookkeeping:
    """``far`` are the other shards by their numbers.

    Rows up to ``upto_row`` may go to the archive's ``directory``.
    """
    archive = Archive(ledger, directory=directory, reached=reached)
    own = Periods(ledger, archive, shard=shard, now=now, grace=grace, reached=reached)
    return Bookkeeping(
        archive=archive,
        own=own,
        closing=Closing(
            log=log,
            shards=in_order(own, far, number=shard),
            now=now,
            reached=reached,
        ),
        loops=[
            Gaps(log=log, told=own.watched, now=now, new_id=new_id, shard=shard, grace=grace),
            Lates(log=log, rows=ledger, opened=own.opened, now=now, new_id=new_id, shard=shard),
            Archiving(archive=archive, now=now, kept=kept, upto_row=upto_row),
        ],
    )
