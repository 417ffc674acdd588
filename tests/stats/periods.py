"""A shard with its archive and periods on a ledger file, and the log of billing beside it."""

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from midstage.contracts.billing import BillingFact
from midstage.contracts.fact import Event, Fact
from midstage.contracts.topics import BILLING
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Log, Partition
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.eventlog.versions import Versions
from midstage.stats.adapters.archive import Archive
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.periods import Periods
from midstage.stats.adapters.rows import beside
from midstage.stats.adapters.segments import LEAST
from midstage.stats.decide.billing import Account, evolve
from midstage.stats.decide.periods import Accepted, Period
from midstage.stats.model import Beat, Beaten, Ended
from midstage.stats.stream.closing import Closing
from midstage.testkit.waiting import within

from .conftest import decided

GRACE = timedelta(minutes=10)
NOVEMBER = Period(
    name="2026-11",
    since=datetime(2026, 11, 1, tzinfo=UTC),
    until=datetime(2026, 12, 1, tzinfo=UTC),
    zone="UTC",
)
DECEMBER = Period(
    name="2026-12",
    since=datetime(2026, 12, 1, tzinfo=UTC),
    until=datetime(2027, 1, 1, tzinfo=UTC),
    zone="UTC",
)
NOBODY = Accepted()


class CrashedError(Exception):
    """What stands for a kill at a named place."""


@dataclass
class Crash:
    """Ends what runs at the ``nth`` time that it reaches ``place``."""

    place: str = ""
    nth: int = 1

    def __call__(self, place: str) -> None:
        if place == self.place:
            self.nth -= 1
            if self.nth == 0:
                raise CrashedError(place)


@dataclass(kw_only=True)
class Shard:
    """One shard's file; it can be closed and opened again, or left as by a kill."""

    directory: Path
    shard: int = 0
    at: datetime = NOVEMBER.until + timedelta(minutes=1)
    reached: Failpoint = nothing
    segment_rows: int = LEAST
    ledger: DuckdbLedger = field(init=False)
    archive: Archive = field(init=False)
    periods: Periods = field(init=False)
    offset: int = 0

    def __post_init__(self) -> None:
        self.open()

    @property
    def file(self) -> Path:
        return self.directory / f"usage-{self.shard}.duckdb"

    def open(self, memory_mb: int = 256) -> None:
        self.ledger = DuckdbLedger(
            self.file,
            now=lambda: self.at,
            memory_mb=memory_mb,
            segment_rows=self.segment_rows,
            reached=self.reach,
        )
        self.archive = Archive(
            self.ledger,
            directory=beside(self.file),
            reached=self.reach,
        )
        self.periods = Periods(
            self.ledger,
            self.archive,
            shard=self.shard,
            now=lambda: self.at,
            grace=GRACE,
            reached=self.reach,
        )

    def reach(self, place: str) -> None:
        self.reached(place)

    def reopen(self) -> None:
        self.ledger.close()
        self.open()

    def count(self, *events: Event[Fact], said: tuple[Beaten | Ended, ...] = ()) -> None:
        place = Partition(topic="t", number=self.shard)
        batch = decided(self.ledger, events, said)
        self.ledger.commit(batch, begins={place: self.offset}, ends={place: self.offset + 1})
        self.offset += 1

    def archived(self, *, before: datetime | None = None) -> int:
        """How many hours left the ledger."""
        upto = self.ledger.row()
        due = self.archive.due(before=before or self.at, upto_row=upto)
        return sum(self.archive.archive(hour, upto_row=upto) > 0 for hour in due)


def beaten(source: str, highest: int, at: datetime) -> Beaten:
    edge = source.split("/")[1]
    beat = Beat(at=at, highest=highest, complete_until=at, newest=True, gauges=None)
    return Beaten(source=source, edge=edge, beat=beat)


@dataclass(kw_only=True)
class Bills:
    """The log of billing, folded by as many processes as a test wants."""

    log: Log = field(default_factory=MemoryLog)
    topic: str = field(default_factory=lambda: f"test.billing-{uuid.uuid4().hex[:8]}.v1")

    made: bool = False

    def __post_init__(self) -> None:
        if not self.made:
            self.log.create(settings_of(replace(BILLING, name=self.topic)))

    @contextmanager
    def followed(self, reached: Failpoint = nothing) -> Iterator[Versions[Account, BillingFact]]:
        versions = Versions[Account, BillingFact](
            log=self.log,
            topic=replace(BILLING, name=self.topic),
            initial=Account(),
            evolve=evolve,
            engine="stats/test",
            now=lambda: datetime.now(UTC),
            monotonic=time.monotonic,
            remembered_for=None,
            reached=reached,
            answer_within_s=60.0,
        )
        stop = threading.Event()
        thread = threading.Thread(target=versions.run, args=(stop,))
        thread.start()
        try:
            within(120.0, lambda: versions.caught_up() is None)
            yield versions
        finally:
            stop.set()
            thread.join()


def closing(
    versions: Versions[Account, BillingFact], shards: Sequence[Shard], reached: Failpoint = nothing
) -> Closing:
    return Closing(
        log=versions,
        shards=[shard.periods for shard in shards],
        now=lambda: shards[0].at,
        reached=reached,
    )
