"""Words in a log, a consumer of them and an effect that keeps what it was given."""

from collections.abc import Callable, Sequence

from midstage.contracts.errors import UnreadableError
from midstage.eventlog.consume import Chunk, Consumer, Positions
from midstage.eventlog.dead_letters import DeadLetterTopic
from midstage.eventlog.failpoint import nothing
from midstage.eventlog.log import BEGINNING, Message, Record
from midstage.eventlog.memory import MemoryLog

TOPIC = "test.words.v1"


class CrashError(Exception):
    """A bug, or a kill: nothing that the loop may handle."""


class Effects:
    """An effect that keeps what it was given, and fails as often as it is told."""

    def __init__(self) -> None:
        self.chunks: list[Chunk[str]] = []
        self.failures: list[Exception] = []

    def __call__(self, chunk: Chunk[str]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.chunks.append(chunk)

    def words(self) -> list[str]:
        return [word for chunk in self.chunks for _, word in chunk.items]


def word(record: Record) -> str:
    if record.value is None or record.value.startswith(b"broken"):
        raise UnreadableError("it says broken")
    return record.value.decode()


def consumer(
    log: MemoryLog,
    effect: Callable[[Chunk[str]], None],
    positions: Positions,
    *,
    linger_s: float = 0.0,
    most: int = 100,
    reached: Callable[[str], None] = nothing,
) -> Consumer[str]:
    return Consumer(
        name="test",
        log=log,
        read=word,
        effect=effect,
        positions=positions,
        dead_letters=DeadLetterTopic(log=log, reader="test", within_s=1.0),
        most=most,
        linger_s=linger_s,
        reached=reached,
    )


def say(log: MemoryLog, *words: str, key: bytes = b"k") -> None:
    writer = log.writer()
    for each in words:
        headers = (("ms-sig", b"\x00\x01"),)
        writer.send(Message(topic=TOPIC, key=key, value=each.encode(), headers=headers))
    writer.close()


def dead(log: MemoryLog) -> Sequence[Record]:
    [place] = log.partitions(f"{TOPIC}.test.dlq")
    return log.reader({place: BEGINNING}).poll(most=100, timeout_s=0.01)
