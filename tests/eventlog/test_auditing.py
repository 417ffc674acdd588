"""What the audit's loop tells of facts that do not reach the log: each once, and none silently."""

import itertools
import threading
from datetime import UTC, datetime

import pytest

from midstage.contracts.audit import OPERATOR, Queried
from midstage.contracts.topics import AUDIT
from midstage.eventlog.auditing import MOST_WAITING, Auditing
from midstage.eventlog.log import Partition, TopicSettings
from midstage.eventlog.memory import MemoryLog

FACT = Queried(
    actor=OPERATOR,
    service="stats",
    method="GET",
    route="/v1/usage",
    status=200,
    at=datetime(2026, 1, 1, 12, tzinfo=UTC),
)


class Audited:
    """A loop that has been told to stop before it begins, so it writes what waits, and ends."""

    def __init__(self) -> None:
        self.lost: list[tuple[int, str]] = []
        self.log = MemoryLog()
        self.log.create(
            [TopicSettings(name=AUDIT.name, partitions=1, retention_ms=-1, message_bytes=1 << 20)]
        )
        numbers = itertools.count()
        self.loop = Auditing(
            log=self.log,
            topic=AUDIT,
            source="test",
            new_id=lambda: str(next(numbers)),
            lost=lambda count, reason: self.lost.append((count, reason)),
        )

    def ended(self) -> None:
        stop = threading.Event()
        stop.set()
        self.loop.run(stop)


@pytest.fixture
def audited() -> Audited:
    return Audited()


def test_what_waits_at_the_end_is_written(audited: Audited) -> None:
    audited.loop.note(FACT)
    audited.ended()
    assert not audited.lost
    partition = Partition(topic=AUDIT.name, number=0)
    assert audited.log.ends([partition]) == {partition: 1}


def test_what_comes_after_the_end_is_told_as_lost(audited: Audited) -> None:
    audited.ended()
    audited.loop.note(FACT)
    assert audited.lost == [(1, "it came after the end")]


def test_what_the_queue_has_no_room_for_is_told_as_lost(audited: Audited) -> None:
    for _ in range(MOST_WAITING + 1):
        audited.loop.note(FACT)
    assert audited.lost == [(1, "the queue is full")]
