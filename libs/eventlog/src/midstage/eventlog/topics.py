"""How the topics of ``contracts`` stand on the broker: the topic, dead letters, snapshots."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from midstage.contracts.topics import DEAD_LETTER_BYTES, MESSAGE_BYTES, Kind, Topic
from midstage.eventlog.log import TopicSettings

FOR_EVER = -1
DEAD_LETTERS_KEPT = timedelta(days=30)
_FORGETTING: Final = {
    "cleanup.policy": "compact,delete",
    "segment.ms": str(3_600_000),
    "min.compaction.lag.ms": str(6 * 3_600_000),
}
"""An open segment is not compacted, and it is all read at each start; what is of the last hours
stands whole, so that a deep replay of them is exact."""

_NEWEST: Final = {
    "segment.ms": str(600_000),
    "min.compaction.lag.ms": str(60_000),
}
"""An open segment is all read at each start. For a minute nothing is compacted, so that what a
writer without a right to it wrote can still be told from what it would take the place of."""


def settings_of(topic: Topic) -> list[TopicSettings]:
    """The topic itself, its dead letters for each refuser, the snapshots of a versioned log."""
    kept = FOR_EVER if topic.kept is None else _ms(topic.kept)
    itself = TopicSettings(
        name=topic.name,
        partitions=topic.partitions,
        retention_ms=kept,
        message_bytes=MESSAGE_BYTES,
        compacted=topic.compacted,
        extra=_compaction(topic),
    )
    dead = [
        TopicSettings(
            name=topic.dead_letters(refuser),
            partitions=1,
            retention_ms=_ms(DEAD_LETTERS_KEPT),
            message_bytes=DEAD_LETTER_BYTES,
        )
        for refuser in topic.refusers
    ]
    if topic.kind is not Kind.VERSIONED:
        return [itself, *dead]
    snapshots = TopicSettings(
        name=topic.snapshots,
        partitions=1,
        retention_ms=FOR_EVER,
        message_bytes=MESSAGE_BYTES,
        compacted=True,
    )
    return [itself, *dead, snapshots]


def _compaction(topic: Topic) -> Mapping[str, str]:
    if not topic.compacted:
        return {}
    return _NEWEST if topic.kept is None else _FORGETTING


def _ms(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)
