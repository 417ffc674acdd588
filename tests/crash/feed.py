"""What is accepted: lines in the edges' request logs and in the clients' spools.

Each line has an id of its own, a minute of the last quarter of an hour, one of some customers and
applications, and units. Accepted is what was written: an edge's line by its source and number, a
client's by its source and id.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from midstage.contracts.edges import source_of
from midstage.contracts.fact import Event
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.eventlog.codec import encode
from midstage.gateway.adapters import logfiles
from tests.crash.client import Spool

LINES_PER_FILE = 20_000
YOUNGEST = timedelta(minutes=1)
"""So old is every event at least, so that a period that holds all can be closed at once."""
_OLDEST_S = 900.0
Name = tuple[str, str]
"""A source, and the number or id in it."""
_STATUS = {Outcome.OK: 200, Outcome.INVALID: 404, Outcome.ERROR: 503}


@dataclass(kw_only=True)
class EdgeFeed:
    """Writes an edge's request log as Envoy would."""

    edge: str
    folder: Path
    random: Random
    files: dict[str, int] = field(default_factory=dict)
    _current: str = ""

    @property
    def log_dir(self) -> Path:
        """Where the request log is."""
        return self.folder / "log"

    def add(self, count: int) -> None:
        """So many more lines."""
        if not self._current or self.files[self._current] >= LINES_PER_FILE:
            file = logfiles.begin(self.log_dir, datetime.now(UTC))
            file.touch()
            self._current = file.stem
            self.files[file.stem] = 0
        first = self.files[self._current]
        lines = [self._line(first + number) for number in range(1, count + 1)]
        with (self.log_dir / logfiles.CURRENT).open("ab") as file_:
            file_.write("".join(f"{line}\n" for line in lines).encode())
        self.files[self._current] += count

    def acknowledged(self) -> bool:
        """Whether Kafka has every line, by the shipper's own word."""
        kept = sorted((self.folder / "state").glob("positions-*.json"))
        said = json.loads(kept[-1].read_text()) if kept else {}
        return all(
            said.get(stem, {}).get("number") == lines or not self._file(stem).exists()
            for stem, lines in self.files.items()
        )

    def accepted(self) -> set[Name]:
        """Everything that was written."""
        return {
            (source_of(self.edge, stem), str(number))
            for stem, lines in self.files.items()
            for number in range(1, lines + 1)
        }

    def _file(self, stem: str) -> Path:
        return self.log_dir / f"{stem}.jsonl"

    def _line(self, number: int) -> str:
        ended = datetime.now(UTC).timestamp() - _age_s(self.random)
        return json.dumps(
            {
                "id": f"{self._current}-{number}",
                "time": f"{ended:.6f}",
                "started": f"{ended - 0.1:.6f}",
                "app": f"app-{self.random.randrange(4)}",
                "customer": f"customer-{self.random.randrange(20)}",
                "path": "/v1/x",
                "status": self.random.choice([200, 200, 200, 404, 503]),
                "flags": "-",
                "details": "via_upstream",
                "ref": f"{self._current}-{number}",
                "bytes_in": self.random.randrange(1000),
                "bytes_out": self.random.randrange(1000),
                "usage_header": json.dumps({"input_tokens": self.random.randrange(500)}),
            }
        )


@dataclass(kw_only=True)
class ClientFeed:
    """Writes a client's spool."""

    source: str
    spool: Spool
    random: Random
    written: int = 0

    def add(self, count: int) -> None:
        """So many more events."""
        self.spool.add([self._event(self.written + number) for number in range(1, count + 1)])
        self.written += count

    def accepted(self) -> set[Name]:
        """Everything that was written."""
        return {(self.source, f"e{number}") for number in range(1, self.written + 1)}

    def _event(self, number: int) -> bytes:
        outcome = self.random.choice(list(_STATUS))
        fact = RequestCompleted(
            app=f"app-{self.random.randrange(4)}",
            customer=f"customer-{self.random.randrange(20)}",
            status=_STATUS[outcome],
            outcome=outcome,
            duration_ms=12.5,
            usage={"requests": 1, "audio_seconds": self.random.randrange(10_000_000) / 1_000_000},
        )
        ended = datetime.now(UTC) - timedelta(seconds=_age_s(self.random))
        return encode(
            Event(
                id=f"e{number}",
                source=self.source,
                type=REQUEST_COMPLETED,
                time=ended,
                data=fact,
            )
        )


def accepted(feeds: Sequence[EdgeFeed | ClientFeed]) -> set[Name]:
    """Everything that every feed has written."""
    return set[Name]().union(*(feed.accepted() for feed in feeds))


def _age_s(random: Random) -> float:
    return random.uniform(YOUNGEST.total_seconds(), _OLDEST_S)
