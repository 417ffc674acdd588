"""Stats as a contestant: what ``midstage.stats.main`` composes, in a process of its own.

Decoded, signature verified, ranges asked, committed to a DuckDB file with the positions, load and
usage facts told and sent meanwhile. Only the clock's date is ours, so that the events of every
round are of the last minute, as they are in production.

``python -m tests.bench.counting BOOTSTRAP REQUESTS EDGES LOAD USAGE COUNT DIRECTORY`` prints events
a second, from the first batch that came to the last commit, and the most memory that it held.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from midstage.chassis.garbage import collected_seldom
from midstage.chassis.heap import given_back
from midstage.chassis.threads import handed_over_soon
from midstage.contracts.topics import EDGES, LOAD, REQUESTS, USAGE
from midstage.eventlog.log import Log, Partition
from midstage.stats.adapters.columns import in_one_heap
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.config import Settings
from midstage.stats.main import Topics, compose, kafka
from midstage.stats.model import Batch, Committed
from midstage.stats.stream.counting import Ledger
from tests.bench.children import last_words, module, running
from tests.bench.payload import BEGIN, EDGE, SIGNING_KEY
from tests.bench.timed import Timed
from tests.stats.swapped import Swapped

RATE, MEMORY = "rate", "memory"
_PRIVATE = 0o600
W = TypeVar("W", bound="Watched")


def counted(bootstrap: str, topics: Topics, count: int, home: Path) -> Mapping[str, float]:
    """Events a second into a new ledger in ``home``, and the MiB of the process that counted them.

    The ledger is left as a kill leaves it.
    """
    command = module("tests.bench.counting", bootstrap, *names_of(topics), str(count), str(home))
    log = home / "counting.log"
    with running(command, log=log) as child:
        said = [line.split() for line in child.stdout or ()]
    found = {words[0]: float(words[1]) for words in said if words[0] in (RATE, MEMORY)}
    if len(found) != 2:
        raise RuntimeError(f"stats gave no answer: {last_words(log)}")
    return found


def main(arguments: list[str]) -> None:
    """Count once, and say how fast."""
    as_installed()
    bootstrap, *names, count, directory = arguments
    rate = _run(bootstrap, topics_of(names), int(count), Path(directory))
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    sys.stdout.write(f"{RATE} {rate}\n{MEMORY} {int(status.split()[0]) / 1024}\n")
    sys.stdout.flush()
    os._exit(0)


def names_of(topics: Topics) -> list[str]:
    """The names that ``topics_of`` takes."""
    return [topic.name for topic in (topics.requests, topics.edges, topics.load, topics.usage)]


def topics_of(names: list[str]) -> Topics:
    """The topics of these names."""
    requests, edges, load, usage = names
    return Topics(
        requests=replace(REQUESTS, name=requests),
        edges=replace(EDGES, name=edges),
        load=replace(LOAD, name=load),
        usage=replace(USAGE, name=usage),
    )


def as_installed() -> None:
    """Begin as a service does, where nothing but stats is installed."""
    sys.meta_path.insert(0, _NoPandas())
    given_back()
    in_one_heap()


def _run(bootstrap: str, topics: Topics, count: int, directory: Path) -> float:
    log = Timed(kafka(bootstrap))
    watched = run(
        bootstrap,
        topics,
        directory,
        log=log,
        watch=lambda ledger, stop: Watched(ledger, count, stop),
    )
    if watched.rows != count:
        raise RuntimeError(f"stats counted {watched.rows} of {count} events")
    return count / (watched.ended - log.begin)


def run(
    bootstrap: str,
    topics: Topics,
    directory: Path,
    *,
    log: Log,
    watch: Callable[[DuckdbLedger, threading.Event], W],
) -> W:
    """All of stats on ``log`` until its ledger, as it is watched, says stop; that ledger."""
    stop = threading.Event()
    watched: list[W] = []

    def swapped(ledger: DuckdbLedger) -> Ledger:
        watched.append(watch(ledger, stop))
        return watched[0]

    service = compose(
        settings_in(bootstrap, directory), log=log, clock=Then(), topics=topics, swapped=swapped
    )
    collected_seldom()  # as the service does before it runs
    handed_over_soon()
    loops = [
        threading.Thread(target=loop.run, args=(stop,)) for loop in (service.facts, service.sending)
    ]
    for thread in loops:
        thread.start()
    try:
        service.consumer.run(stop)
    finally:
        stop.set()
        for thread in loops:
            thread.join()
    return watched[0]


def settings_in(bootstrap: str, directory: Path) -> Settings:
    keys, token = directory / "edge-keys.json", directory / "token"
    keys.write_bytes(msgspec.json.encode({EDGE: SIGNING_KEY.hex()}))
    token.write_text("nobody")
    for file in (keys, token):
        file.chmod(_PRIVATE)
    return Settings(
        kafka=bootstrap,
        host="127.0.0.1",
        port=0,
        token_file=token,
        ledger_file=directory / "usage.duckdb",
        edge_keys_file=keys,
    )


class _NoPandas:
    """Pyarrow loads pandas where it is there, and stats needs none."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


class Watched(Swapped):
    """The ledger, that stops the run once it holds all events."""

    def __init__(self, inner: DuckdbLedger, count: int, stop: threading.Event) -> None:
        super().__init__(inner)
        self.rows, self.ended = 0, 0.0
        self._count, self._stop = count, stop

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        committed = self.inner.commit(batch, begins=begins, ends=ends)
        self.rows += len(batch.rows)
        if self.rows >= self._count and not self.ended:
            self.ended = time.perf_counter()
            self._stop.set()
        return committed


class Then:
    """A clock that goes as ours does, from half a minute after the payload's first event."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=30 + time.monotonic() - self._began)

    def monotonic(self) -> float:
        return time.monotonic()


if __name__ == "__main__":
    main(sys.argv[1:])
