"""Dead letters: what a reader could not read, with the original bytes, headers and the reason.

They are durable before the reader's position moves, so an unreadable record is never lost; after
a crash the same one may stand there twice. A record too large for any dead letter (a broker
limits what is compressed) is cut, and says so.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from midstage.contracts.errors import UnavailableError
from midstage.contracts.topics import DEAD_LETTER_BYTES
from midstage.eventlog.log import Delivered, Delivery, Headers, Log, Message, Record, Writer

REASON = "ms-dlq-reason"
TOPIC = "ms-dlq-topic"
PARTITION = "ms-dlq-partition"
OFFSET = "ms-dlq-offset"
TIMESTAMP_MS = "ms-dlq-timestamp-ms"
TOMBSTONE = "ms-dlq-tombstone"
CUT = "ms-dlq-cut"
"""The length of the original value, where only its first bytes and no headers are kept."""
SOURCE = "ms-dlq-source"
SEQ = "ms-dlq-seq"
"""Of a line that its edge could make no record of: whose it is, and its number, now a hole."""

_REASON_CHARACTERS = 1000
_LARGEST_BYTES = DEAD_LETTER_BYTES - 16 * 1024  # room for what is told, and for the batch
_PER_HEADER_BYTES = 10
_CUT_VALUE_BYTES = 1024 * 1024
_CUT_KEY_BYTES = 1024
_DIGITS = 20
_FLUSH_WITHIN_S = 5.0


class DeadLetterTopic:
    """Implements ``consume.DeadLetters`` with the topic ``<topic>.<reader>.dlq``."""

    def __init__(
        self,
        *,
        log: Log,
        reader: str,
        within_s: float = _FLUSH_WITHIN_S,
        counted: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Connect nothing yet: most readers never meet a dead letter.

        ``counted`` is told the topic of each record that is put.
        """
        self._log = log
        self._reader = reader
        self._within_s = within_s
        self._writer: Writer | None = None
        self._lock = threading.Lock()
        self._to_send: dict[int, Message] = {}
        self._waiting: dict[int, Message] = {}
        self._count = 0
        self._counted = counted

    def put(self, record: Record, reason: str) -> None:
        """Keep one record to be sent; nothing is promised before ``flush`` returns."""
        with self._lock:
            self._to_send[self._count] = letter(record, reader=self._reader, reason=reason)
            self._count += 1
        self._counted(record.partition.topic)

    def flush(self) -> None:
        """Return when all are durable; UnavailableError when not in time: call it again."""
        with self._lock:
            sending = dict(self._to_send)
        if not sending and not self._waiting:
            return
        if self._writer is None:
            self._writer = self._log.writer()
        for number, message in sending.items():
            self._send(self._writer, number, message)
        self._writer.flush(self._within_s)
        with self._lock:
            left = len(self._waiting) + len(self._to_send)
        if left:
            raise UnavailableError(f"{left} dead letters are not durable yet")

    def close(self) -> None:
        """Let go of the connection, if there was one."""
        if self._writer is not None:
            self._writer.close()

    def _send(self, writer: Writer, number: int, message: Message) -> None:
        def done(delivery: Delivery) -> None:
            with self._lock:
                del self._waiting[number]
                if not isinstance(delivery, Delivered):
                    self._to_send[number] = message

        with self._lock:
            self._waiting[number] = self._to_send.pop(number)
        try:
            writer.send(message, done)
        except UnavailableError:
            with self._lock:
                self._to_send[number] = self._waiting.pop(number)
            raise


def letter(record: Record, *, reader: str, reason: str) -> Message:
    """The dead letter of one record: its own key, bytes and headers, then where and why."""
    told = (
        (REASON, reason[:_REASON_CHARACTERS].encode(errors="replace")),
        (TOPIC, record.partition.topic.encode()),
        (PARTITION, str(record.partition.number).encode()),
        (OFFSET, str(record.offset).encode()),
        (TIMESTAMP_MS, str(record.timestamp_ms).encode()),
    )
    topic = f"{record.partition.topic}.{reader}.dlq"
    value = record.value or b""
    if _size(record) > _LARGEST_BYTES:
        return Message(
            topic=topic,
            key=None if record.key is None else record.key[:_CUT_KEY_BYTES],
            value=value[:_CUT_VALUE_BYTES],
            headers=(*told, (CUT, str(len(value)).encode())),
        )
    return Message(
        topic=topic,
        key=record.key,
        value=value,
        headers=(*record.headers, *told, *(((TOMBSTONE, b"1"),) if record.value is None else ())),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter as it was told; of one that somebody else wrote there is what can be had.

    ``headers`` are those of the original alone. ``cut`` is the length of an original of which
    only the beginning is left.
    """

    value: bytes | None
    headers: Headers
    reason: str
    partition: int | None
    offset: int | None
    timestamp_ms: int | None
    source: str | None
    seq: int | None
    cut: int | None


def opened(record: Record) -> Letter:
    """What ``letter`` or an edge put into this record of a topic of dead letters.

    What is told stands last: an original may have headers of the same names, and is not believed.
    """
    names = [name for name, _ in record.headers]
    begins = len(names) - 1 - names[::-1].index(REASON) if REASON in names else len(names)
    told = dict(record.headers[begins:])
    return Letter(
        value=None if TOMBSTONE in told else record.value,
        headers=record.headers[:begins],
        reason=told.get(REASON, b"").decode(errors="replace"),
        partition=_number(told.get(PARTITION)),
        offset=_number(told.get(OFFSET)),
        timestamp_ms=_number(told.get(TIMESTAMP_MS)),
        source=told[SOURCE].decode(errors="replace") if SOURCE in told else None,
        seq=_number(told.get(SEQ)),
        cut=_number(told.get(CUT)),
    )


def _number(text: bytes | None) -> int | None:
    return int(text) if text and len(text) <= _DIGITS and text.isdigit() else None


def _size(record: Record) -> int:
    headers = sum(len(name.encode()) + len(text) for name, text in record.headers)
    headers += _PER_HEADER_BYTES * len(record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
