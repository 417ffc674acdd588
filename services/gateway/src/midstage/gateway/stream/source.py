"""One file of the request log on its way to Kafka.

Its position moves only over an unbroken row of acknowledged lines. What is not acknowledged can be
sent again from there: the same lines have the same numbers and the same bytes.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from midstage.contracts.edges import source_of
from midstage.eventlog.log import Delivery, Undelivered
from midstage.gateway.decide.lines import LONGEST_LINE
from midstage.gateway.decide.shipping import (
    BLOCK_BYTES,
    Completeness,
    RawLine,
    acknowledged,
    begun,
    lines,
)
from midstage.gateway.model.shipping import LogFile, Position


class Bytes(Protocol):
    """The files' contents."""

    def read(self, stem: str, *, offset: int, most: int) -> bytes:
        """Up to ``most`` bytes from ``offset``; none where the file is gone or ends there."""
        ...


class Sent:
    """One message that was handed over; its acknowledgement comes from another thread."""

    __slots__ = ("delivery", "position")

    def __init__(self, position: Position) -> None:
        """Where the source stands once this is acknowledged."""
        self.position = position
        self.delivery: Delivery | None = None

    def done(self, delivery: Delivery) -> None:
        """The acknowledgement, or that there is none."""
        self.delivery = delivery


class Source:
    """One source; used by the shipper's thread alone."""

    def __init__(self, file: LogFile, *, edge: str, position: Position) -> None:
        """Go on from ``position``."""
        self.file = file
        self.name = source_of(edge, file.stem)
        self.position = position
        self.completeness: Completeness = begun(file.begun)
        self.closing: Sent | None = None
        self._sent_to = position
        self._unsettled: deque[Sent] = deque()

    @property
    def unsettled(self) -> int:
        """Lines that were sent and are not acknowledged."""
        return len(self._unsettled)

    def next_lines(self, files: Bytes) -> Sequence[RawLine]:
        """Whole lines that were not sent yet; none at the end of the file."""
        at = self._sent_to
        block = files.read(self.file.stem, offset=at.offset, most=BLOCK_BYTES)
        found = lines(block, offset=at.offset, number=at.number)
        if found or len(block) < BLOCK_BYTES:
            return found
        return self._giant(files, block)

    def sending(self, line: RawLine) -> Sent:
        """The line is about to be sent."""
        sent = Sent(Position(offset=line.end, number=line.number))
        self._unsettled.append(sent)
        self._sent_to = sent.position
        return sent

    def settle(self) -> Undelivered | None:
        """Move over what is acknowledged; after a failed delivery start again from there."""
        while self._unsettled and (delivery := self._unsettled[0].delivery) is not None:
            if isinstance(delivery, Undelivered):
                self.rewind()
                return delivery
            self.position = self._unsettled.popleft().position
        self.completeness = acknowledged(self.completeness, self.position.offset)
        return None

    def rewind(self) -> None:
        """Send again whatever is not acknowledged."""
        self._unsettled.clear()
        self._sent_to = self.position
        self.closing = None

    def close(self) -> None:
        """Kafka knows that this source has ended."""
        self.position = replace(self.position, closed=True)

    def _giant(self, files: Bytes, head: bytes) -> Sequence[RawLine]:
        """A line longer than a block: enough of it to be refused, once its end is there."""
        at = self._sent_to
        offset = at.offset + len(head)
        while block := files.read(self.file.stem, offset=offset, most=BLOCK_BYTES):
            end = block.find(b"\n")
            if end >= 0:
                text = head[: LONGEST_LINE + 1]
                return [RawLine(text=text, number=at.number + 1, end=offset + end + 1)]
            offset += len(block)
        return []
