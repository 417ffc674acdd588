"""How long stats takes from its start to its first commit, with unnumbered ids behind it.

Counted from the log, then ended as ``kill -9`` ends it: the WAL is read again, hash files are
checked, and what lies above their mark is read from the ledger. The peer opens the same file.

``python -m tests.bench.restarting ours BOOTSTRAP REQUESTS EDGES LOAD USAGE DIRECTORY`` starts it
and prints seconds by the clock and of the processor.
"""

import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import duckdb

from midstage.contracts.topics import EDGES, LOAD, REQUESTS, USAGE, Topic
from midstage.eventlog import codec
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.main import Topics, compose
from midstage.stats.stream.counting import Ledger
from tests.bench.children import last_words, module, running
from tests.bench.counting import Then, Watched, as_installed, counted, settings_in
from tests.bench.figures import Figure, Measure, figures
from tests.bench.flooding import flood
from tests.bench.payload import BEGIN, PER_SECOND, SIGNING_KEY, spread
from tests.bench.rounds import Contestant, Size, interleaved, say
from tests.bench.topics import removed, write

GROUP: Final = "restart"
OURS, BARE = "midstage stats", "bare DuckDB, opened alone"
FIRST: Final = Measure(name="start to first commit", unit="s", more_is_better=False)
CPU: Final = Measure(name="its work until then", unit="CPU s", more_is_better=False)
_MORE: Final = 100


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Fill a ledger once; each start counts a few more events, on a copy of it."""
    count, home = size.unnumbered, directory / "restart"
    home.mkdir(parents=True)
    topics = Topics(requests=_own(REQUESTS), edges=_own(EDGES), load=_own(LOAD), usage=_own(USAGE))
    names = [topic.name for topic in (topics.requests, topics.edges, topics.load, topics.usage)]
    KafkaLog(bootstrap=bootstrap, client_id="bench").create(
        settings
        for topic in (topics.requests, topics.edges, topics.load, topics.usage)
        for settings in settings_of(topic)
    )
    lasting = timedelta(seconds=count / PER_SECOND)
    write(
        bootstrap,
        flood(topics.requests.name, count=count, since=BEGIN, lasting=lasting, numbered=False),
    )
    counted(bootstrap, topics, count, home)
    say(f"{GROUP}: {count:,} events without numbers are in the ledger")
    write(
        bootstrap,
        (
            codec.message(
                event, topic=topics.requests.name, key=event.source, signing_key=SIGNING_KEY
            )
            for event in spread(_MORE)
        ),
    )
    taken = interleaved(
        [
            Contestant(name=name, run=partial(_started, who, [bootstrap, *names], home))
            for name, who in ((OURS, "ours"), (BARE, "bare"))
        ],
        group=GROUP,
        rounds=size.rounds,
    )
    removed(bootstrap, *names)
    shutil.rmtree(home)
    counts = dict.fromkeys((OURS, BARE), f"{count:,} unnumbered ids")
    return figures(group=GROUP, measures=[FIRST, CPU], taken=taken, peers=(BARE,), counts=counts)


def _own(topic: Topic) -> Topic:
    return replace(topic, name=f"bench.{topic.name}.{uuid.uuid4().hex[:8]}")


def _started(who: str, names: list[str], home: Path) -> Mapping[str, float]:
    copy = home.with_name("restarted")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(home, copy)
    log = home / "restarting.log"
    with running(module("tests.bench.restarting", who, *names, str(copy)), log=log) as child:
        said = [line.split() for line in child.stdout or ()]
    shutil.rmtree(copy)
    if len(said) != 1:
        raise RuntimeError(f"stats did not start: {last_words(log)}")
    return dict(zip((FIRST.name, CPU.name), map(float, said[0]), strict=True))


def main(arguments: list[str]) -> None:
    """Start once."""
    as_installed()
    who, bootstrap, requests, edges, load, usage, home = arguments
    topics = Topics(
        requests=replace(REQUESTS, name=requests),
        edges=replace(EDGES, name=edges),
        load=replace(LOAD, name=load),
        usage=replace(USAGE, name=usage),
    )
    runs: dict[str, Callable[[], None]] = {
        "ours": lambda: _counting(bootstrap, topics, Path(home)),
        "bare": lambda: _opening(bootstrap, Path(home)),
    }
    begin, worked = time.perf_counter(), time.process_time()
    runs[who]()
    sys.stdout.write(f"{time.perf_counter() - begin} {time.process_time() - worked}\n")


def _counting(bootstrap: str, topics: Topics, home: Path) -> None:
    stop = threading.Event()

    def swapped(ledger: DuckdbLedger) -> Ledger:
        return Watched(ledger, 1, stop)

    settings = settings_in(bootstrap, home)
    log = KafkaLog(bootstrap=bootstrap, client_id="bench")
    service = compose(settings, log=log, clock=Then(), topics=topics, swapped=swapped)
    service.consumer.run(stop)


def _opening(bootstrap: str, home: Path) -> None:
    file = settings_in(bootstrap, home).ledger_file
    with duckdb.connect(str(file)) as db:
        db.execute("SELECT max(row) FROM requests").fetchall()


if __name__ == "__main__":
    main(sys.argv[1:])
