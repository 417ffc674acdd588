"""Stats as a contestant: what ``midstage.stats.main`` composes, with all of its loops.

Decoded, signature verified, ranges asked, committed to a DuckDB file with the positions, load
facts written meanwhile. Only the clock's date is ours, so that the events of every round are of
the last minute, as they are in production.
"""

import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Partition
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.config import Settings
from midstage.stats.main import Topics, compose
from midstage.stats.model import Batch, Committed, Hashes, Outgoing, Source
from midstage.stats.stream.counting import Ledger
from tests.bench.payload import BEGIN, EDGE, SIGNING_KEY
from tests.bench.timed import Timed

_PRIVATE = 0o600


def counted(bootstrap: str, topics: Topics, count: int, directory: Path) -> float:
    """Events a second into a new ledger: from the first batch that came to the last commit."""
    log = Timed(KafkaLog(bootstrap=bootstrap, client_id="bench"))
    stop = threading.Event()
    watched: list[_Watched] = []

    def swapped(ledger: DuckdbLedger) -> Ledger:
        watched.append(_Watched(ledger, count, stop))
        return watched[0]

    service = compose(
        _settings(bootstrap, Path(tempfile.mkdtemp(prefix="ledger-", dir=directory))),
        log=log,
        clock=_Then(),
        topics=topics,
        swapped=swapped,
    )
    loads = threading.Thread(target=service.loads.run, args=(stop,), name="loads")
    loads.start()
    try:
        service.consumer.run(stop)
    finally:
        stop.set()
        loads.join()
        service.ledger.close()
    if watched[0].rows != count:
        raise RuntimeError(f"stats counted {watched[0].rows} of {count} events")
    return count / (watched[0].ended - log.begin)


def _settings(bootstrap: str, directory: Path) -> Settings:
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


class _Watched:
    """The ledger, that stops the run once it holds all events."""

    def __init__(self, inner: DuckdbLedger, count: int, stop: threading.Event) -> None:
        self.rows, self.ended = 0, 0.0
        self._inner, self._count, self._stop = inner, count, stop

    def positions(self) -> Mapping[Partition, int]:
        return self._inner.positions()

    def row(self) -> int:
        return self._inner.row()

    def sources(self, names: frozenset[str]) -> Mapping[str, Source]:
        return self._inner.sources(names)

    def unnumbered(self, after_row: int) -> Hashes:
        return self._inner.unnumbered(after_row)

    def unsent(self, most: int) -> Sequence[tuple[int, Outgoing]]:
        return self._inner.unsent(most)

    def sent(self, upto: int) -> None:
        self._inner.sent(upto)

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        committed = self._inner.commit(batch, begins=begins, ends=ends)
        self.rows += len(batch.rows)
        if self.rows >= self._count:
            self.ended = time.perf_counter()
            self._stop.set()
        return committed


class _Then:
    """A clock that goes as ours does, from half a minute after the payload's first event."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=30 + time.monotonic() - self._began)

    def monotonic(self) -> float:
        return time.monotonic()
