"""How the shipper's facts become messages: keyed by source, signed with the edge's key."""

from dataclasses import dataclass
from typing import TypeVar

from midstage.contracts.edges import seq_text
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.topics import EDGES, REQUESTS, Topic
from midstage.eventlog import codec
from midstage.eventlog.dead_letters import REASON, SEQ, SOURCE
from midstage.eventlog.log import Message
from midstage.gateway.decide.lines import completed, parsed, traceparent
from midstage.gateway.decide.shipping import RawLine

F = TypeVar("F", bound=Fact)

READER = "gateway"
"""As whose dead letters lines go that are none."""
_REASON_CHARACTERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """Makes messages; the same line gives the same message, whoever asks and when."""

    signing_key: bytes
    requests: Topic = REQUESTS
    edges: Topic = EDGES

    @property
    def dead_letters(self) -> str:
        """The topic of lines that are none."""
        return self.requests.dead_letters(READER)

    def line(self, line: RawLine, *, source: str) -> Message:
        """The line's event; UnreadableError where it is none."""
        fields = parsed(line.text)
        return codec.message(
            completed(fields, source=source, number=line.number),
            topic=self.requests.name,
            key=source,
            signing_key=self.signing_key,
            traceparent=traceparent(fields),
        )

    def dead(self, line: RawLine, *, source: str, reason: UnreadableError) -> Message:
        """The line as it was; its number is a hole that this letter names."""
        return Message(
            topic=self.dead_letters,
            key=source.encode(),
            value=line.text,
            headers=(
                (REASON, str(reason)[:_REASON_CHARACTERS].encode(errors="replace")),
                (SOURCE, source.encode()),
                (SEQ, seq_text(line.number).encode()),
            ),
        )

    def about(self, event: Event[F]) -> Message:
        """What an edge says of a source."""
        return codec.message(
            event, topic=self.edges.name, key=event.source, signing_key=self.signing_key
        )
