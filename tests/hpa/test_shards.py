"""Load that comes in parts: hpa waits for all shards, and a missing one is unknown."""

from datetime import UTC, datetime, timedelta

from midstage.contracts import sketch
from midstage.contracts.load import LoadObserved
from midstage.hpa.views.carried import Carried

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def part(
    shard: int, *, ok: int, in_flight: int | None, edges: int, revision: int = 1
) -> LoadObserved:
    return LoadObserved(
        app="chat",
        second=NOON,
        shard=shard,
        shards=2,
        revision=revision,
        complete_until=NOON + SECOND,
        outcomes={"ok": ok},
        in_flight=in_flight,
        pending=in_flight,
        latency_ms=sketch.packed(sketch.sketch([12.0])),
        edges=edges,
    )


def seen(*facts: LoadObserved) -> tuple[float | None, float | None]:
    carried = Carried()
    for fact in facts:
        carried.apply(fact, NOON + SECOND)
    found = carried.of("chat", now=NOON + 2 * SECOND, window_s=1)
    return found.requests_per_s, found.concurrency


def test_a_second_counts_once_all_shards_have_spoken() -> None:
    first = part(0, ok=4, in_flight=2, edges=1)
    assert seen(first, first) == (None, None)
    assert seen(first, part(1, ok=3, in_flight=1, edges=1)) == (7.0, 6.0)


def test_a_shard_through_which_no_edge_speaks_carries_nothing() -> None:
    empty = part(1, ok=0, in_flight=None, edges=0)
    assert seen(part(0, ok=4, in_flight=2, edges=1), empty) == (4.0, 4.0)


def test_a_silent_edge_in_one_shard_makes_the_whole_unknown() -> None:
    silent = part(1, ok=3, in_flight=None, edges=1)
    assert seen(part(0, ok=4, in_flight=2, edges=1), silent) == (7.0, None)
