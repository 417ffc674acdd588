"""All of stats, as ``counting`` composes it, and how old each event is when it is committed.

``python -m tests.bench.freshness BOOTSTRAP REQUESTS EDGES LOAD USAGE COUNT DIRECTORY`` prints how
many events a second were sent, and p50 and p99 of the milliseconds from an event's time in Kafka
to its commit.
"""

import os
import sys
import threading
import time
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from midstage.eventlog.log import Log, Partition, Reader, Record
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.main import kafka
from midstage.stats.model import Batch, Committed, Doubles
from tests.bench.counting import Watched, as_installed, run, topics_of

Stamps = Mapping[Partition, "array[float]"]
"""By partition the time in Kafka of each record, in ms, in the order of its offsets from 0 on."""


def main(arguments: list[str]) -> None:
    """Count until all are committed, and say how fresh they were."""
    as_installed()
    bootstrap, *names, count, directory = arguments
    log = Stamped(kafka(bootstrap))

    def watch(ledger: DuckdbLedger, stop: threading.Event) -> Aged:
        return Aged(ledger, int(count), stop, log.stamps)

    topics = topics_of(names)
    watched = run(bootstrap, topics, Path(directory), log=log, watch=watch)
    stamps = np.concatenate([each for place, each in log.stamps.items() if place.topic == names[0]])
    ages = np.concatenate(watched.ages)
    if len(ages) != int(count):
        raise RuntimeError(f"{len(ages)} of {count} events were committed")
    rate = len(stamps) / (stamps.max() - stamps.min()) * 1000
    half, nearly_all = np.quantile(ages, (0.5, 0.99)).tolist()
    sys.stdout.write(f"{rate} {half} {nearly_all}\n")
    sys.stdout.flush()
    os._exit(0)


class Stamped:
    """A log whose reader notes when each record was taken by its producer."""

    def __init__(self, inner: Log) -> None:
        self.stamps: defaultdict[Partition, array[float]] = defaultdict(lambda: array("d"))
        self._inner = inner
        self.writer, self.create = inner.writer, inner.create
        self.partitions, self.ends = inner.partitions, inner.ends
        self.beginnings, self.offsets_at = inner.beginnings, inner.offsets_at

    def reader(self, starts: Mapping[Partition, int]) -> Reader:
        return _Noting(self._inner.reader(starts), self.stamps)


class _Noting:
    def __init__(self, inner: Reader, stamps: "defaultdict[Partition, array[float]]") -> None:
        self._inner = inner
        self._stamps = stamps
        self.positions, self.lag, self.close = inner.positions, inner.lag, inner.close
        self.runs = inner.runs

    def poll(self, *, most: int, timeout_s: float) -> Sequence[Record]:
        records = self._inner.poll(most=most, timeout_s=timeout_s)
        for record in records:
            self._stamps[record.partition].append(record.timestamp_ms)
        return records


class Aged(Watched):
    """The ledger, that notes how old the events of each commit are."""

    def __init__(
        self, inner: DuckdbLedger, count: int, stop: threading.Event, stamps: Stamps
    ) -> None:
        super().__init__(inner, count, stop)
        self.ages: list[Doubles] = []
        self._stamps = stamps

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        committed = super().commit(batch, begins=begins, ends=ends)
        now_ms = time.time() * 1000
        for place, end in ends.items():
            self.ages.append(now_ms - np.array(self._stamps[place][begins[place] : end]))
        return committed


if __name__ == "__main__":
    main(sys.argv[1:])
