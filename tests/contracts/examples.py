"""What an example for a golden file is: an event of a stream, or a decision of a versioned log."""

from dataclasses import dataclass
from datetime import UTC, datetime

from midstage.contracts.edges import source_of
from midstage.contracts.fact import Event, Fact
from midstage.contracts.topics import Topic
from midstage.eventlog.appended import command, written

NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
SOURCE = source_of("edge-1", "20260101T115900-7f3a")

Events = dict[str, tuple[Topic, Event[Fact]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Version ``version`` of ``key``, with its facts."""

    topic: Topic
    key: str
    engine: str
    version: int
    facts: tuple[object, ...]

    def encoded(self) -> bytes:
        return (
            written(
                self.topic,
                event_id=f"append-{self.version}",
                by=command(key=self.key, command_id=f"command-{self.version}", payload=b"payload"),
                version=self.version,
                engine=self.engine,
                facts=self.facts,
                at=NOON,
            ).value
            or b""
        )
