"""How topics stand on the broker follows from contracts alone."""

from midstage.contracts.topics import (
    DEAD_LETTER_BYTES,
    INVENTORY,
    LIMITS,
    MESSAGE_BYTES,
    PEAKS,
    REQUESTS,
    TOPICS,
)
from midstage.eventlog.topics import settings_of


def test_a_stream_has_itself_and_one_dead_letter_topic_for_each_refuser() -> None:
    itself, *dead = settings_of(REQUESTS)
    assert (itself.name, itself.partitions) == ("midstage.requests.v1", 12)
    assert itself.retention_ms == 7 * 24 * 3600 * 1000
    assert itself.message_bytes == MESSAGE_BYTES
    assert [topic.name for topic in dead] == [
        "midstage.requests.v1.stats.dlq",
        "midstage.requests.v1.gateway.dlq",
        "midstage.requests.v1.data.dlq",
    ]
    assert {topic.message_bytes for topic in dead} == {DEAD_LETTER_BYTES}


def test_a_versioned_log_is_kept_for_ever_and_has_compacted_snapshots() -> None:
    itself, *_, snapshots = settings_of(LIMITS)
    assert (itself.retention_ms, itself.compacted) == (-1, False)
    assert (snapshots.name, snapshots.compacted) == ("midstage.limits.v1.snapshot", True)


def test_an_inventory_keeps_the_newest_of_each_key_for_ever() -> None:
    (itself,) = settings_of(INVENTORY)
    assert (itself.retention_ms, itself.compacted) == (-1, True)


def test_days_are_the_newest_of_each_and_are_forgotten() -> None:
    (itself,) = settings_of(PEAKS)
    assert (itself.retention_ms, itself.compacted) == (17 * 24 * 3600 * 1000, True)
    assert itself.extra["cleanup.policy"] == "compact,delete"


def test_dead_letters_are_larger_than_what_they_hold() -> None:
    for topic in TOPICS:
        itself, *rest = settings_of(topic)
        for dead in rest:
            if dead.name.endswith(".dlq"):
                assert dead.message_bytes > itself.message_bytes
