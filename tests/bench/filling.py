"""A month of requests, counted into a ledger by what stats composes for that, from the log.

``python -m tests.bench.filling BOOTSTRAP REQUESTS EDGES COUNT DIRECTORY`` prints the CPU time of an
event, and the most memory held after a half and after all of them. No facts are told of a time so
long ago. The events are those of ``flooding``, 1,000 customers on 8 applications.
"""

import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from midstage.chassis.garbage import collected_seldom
from midstage.contracts.topics import EDGES, REQUESTS
from midstage.eventlog.failpoint import nothing
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Partition
from midstage.eventlog.topics import settings_of
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.seen.opening import opened
from midstage.stats.main import Topics, counting
from midstage.stats.model import Batch, Committed
from midstage.stats.stream.seen import OneAtATime
from tests.bench.children import last_words, module, running
from tests.bench.counting import Watched, as_installed, settings_in
from tests.bench.figures import Measure
from tests.bench.flooding import flood
from tests.bench.payload import BEGIN, EDGE, SIGNING_KEY
from tests.bench.topics import removed, write

NOW = BEGIN
DAYS = 30
SINCE = NOW - timedelta(days=DAYS)
CPU = Measure(name="count it, Arrow batches", unit="CPU us/event", more_is_better=False)
HALF = Measure(name="most memory held, half of them", unit="MiB", more_is_better=False)
MEMORY = Measure(name="most memory held, all of them", unit="MiB", more_is_better=False)


def filled(bootstrap: str, count: int, home: Path) -> tuple[Path, Mapping[str, float]]:
    """The file of a new ledger that holds so many requests of ``DAYS`` days, and its figures."""
    name = uuid.uuid4().hex[:8]
    topics = [replace(each, name=f"bench.{each.name}.{name}") for each in (REQUESTS, EDGES)]
    standing = [settings for topic in topics for settings in settings_of(topic)]
    KafkaLog(bootstrap=bootstrap, client_id="bench").create(standing)
    requests, edges = (topic.name for topic in topics)
    write(bootstrap, flood(requests, count=count, since=SINCE, lasting=NOW - SINCE))
    command = module("tests.bench.filling", bootstrap, requests, edges, str(count), str(home))
    log = home / "filling.log"
    with running(command, log=log) as child:
        said = [line.split() for line in child.stdout or ()]
    removed(bootstrap, *(topic.name for topic in standing))
    if len(said) != 1:
        raise RuntimeError(f"stats gave no answer: {last_words(log)}")
    figures = map(float, said[0])
    found = dict(zip((CPU.name, HALF.name, MEMORY.name), figures, strict=True))
    return settings_in(bootstrap, home).ledger_file, found


class _Halfway(Watched):
    """Notes the memory once half of the events are in the ledger."""

    def __init__(self, inner: DuckdbLedger, count: int, stop: threading.Event) -> None:
        super().__init__(inner, count, stop)
        self.half_mib = 0.0
        self._half = count / 2

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        committed = super().commit(batch, begins=begins, ends=ends)
        if self.rows >= self._half and not self.half_mib:
            self.half_mib = _most_mib()
        return committed


class _Now:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return time.monotonic()


def main(arguments: list[str]) -> None:
    """Count all, and close the ledger."""
    as_installed()
    bootstrap, requests, edges, count, home = arguments
    settings, clock, stop = settings_in(bootstrap, Path(home)), _Now(), threading.Event()
    file = settings.ledger_file
    ledger = DuckdbLedger(file, now=clock.now, memory_mb=settings.ledger_memory_mb)
    watched = _Halfway(ledger, int(count), stop)
    files = opened(
        file, ledger=ledger, now=clock.now, reached=nothing, seal_at=settings.seen_in_memory
    )
    consumer = counting(
        settings,
        keys=lambda: {EDGE: SIGNING_KEY},
        log=KafkaLog(bootstrap=bootstrap, client_id="bench"),
        clock=clock,
        topics=Topics(requests=replace(REQUESTS, name=requests), edges=replace(EDGES, name=edges)),
        ledger=watched,
        seen=OneAtATime(files),
        counted=(),
        reached=nothing,
    )
    collected_seldom()
    begin = time.process_time()
    consumer.run(stop)
    each_us = (time.process_time() - begin) / int(count) * 1e6
    if watched.rows != int(count):
        raise RuntimeError(f"stats counted {watched.rows} of {count} events")
    sys.stdout.write(f"{each_us} {watched.half_mib} {_most_mib()}\n")
    ledger.close()


def _most_mib() -> float:
    held = Path("/proc/self/status").read_text().partition("VmHWM:")[2]
    return int(held.split()[0]) / 1024


if __name__ == "__main__":
    main(sys.argv[1:])
