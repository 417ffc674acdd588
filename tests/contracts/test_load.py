"""Shards of one second fold to one fact, in any order; what is missing is unknown."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from midstage.contracts import sketch
from midstage.contracts.load import LoadObserved, folded

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SHARDS = 3

counts = st.dictionaries(st.sampled_from(["ok", "error", "refused"]), st.integers(0, 10**6))
sketches = st.lists(st.floats(0, 1e6), max_size=10).map(sketch.sketch)
seconds_later = st.integers(0, 60).map(lambda s: NOON + timedelta(seconds=s))


def parts_of(shard: int) -> st.SearchStrategy[LoadObserved]:
    return st.builds(
        LoadObserved,
        app=st.just("chat"),
        second=st.just(NOON),
        shard=st.just(shard),
        shards=st.just(SHARDS),
        revision=st.just(0),
        complete_until=st.none() | seconds_later,
        outcomes=counts,
        units=counts,
        in_flight=st.none() | st.integers(0, 100),
        pending=st.none() | st.integers(0, 100),
        latency_ms=sketches,
        ttft_ms=sketches,
    )


whole_seconds = st.tuples(*(parts_of(shard) for shard in range(SHARDS))).map(list)


@given(whole_seconds, st.data())
def test_the_order_of_the_shards_does_not_matter(
    parts: list[LoadObserved], data: st.DataObject
) -> None:
    assert folded(data.draw(st.permutations(parts))) == folded(parts)


@given(whole_seconds, st.integers(0, SHARDS - 1))
def test_a_missing_shard_makes_the_whole_unknown(parts: list[LoadObserved], lost: int) -> None:
    assert folded(parts) is not None
    assert folded(parts[:lost] + parts[lost + 1 :]) is None


@given(whole_seconds)
def test_counts_add_up_and_sketches_merge(parts: list[LoadObserved]) -> None:
    whole = folded(parts)
    assert whole is not None
    for name in ("ok", "error", "refused"):
        assert whole.outcomes.get(name, 0) == sum(part.outcomes.get(name, 0) for part in parts)
        assert whole.units.get(name, 0) == sum(part.units.get(name, 0) for part in parts)
    assert whole.latency_ms == sketch.merged(*(part.latency_ms for part in parts))
    assert whole.ttft_ms == sketch.merged(*(part.ttft_ms for part in parts))


@given(whole_seconds)
def test_one_unknown_gauge_makes_the_sum_unknown(parts: list[LoadObserved]) -> None:
    whole = folded(parts)
    assert whole is not None
    known = [part.in_flight for part in parts if part.in_flight is not None]
    assert whole.in_flight == (sum(known) if len(known) == SHARDS else None)
    waiting = [part.pending for part in parts if part.pending is not None]
    assert whole.pending == (sum(waiting) if len(waiting) == SHARDS else None)


@given(whole_seconds)
def test_the_whole_is_complete_up_to_its_least_shard(parts: list[LoadObserved]) -> None:
    whole = folded(parts)
    assert whole is not None
    known = [part.complete_until for part in parts if part.complete_until is not None]
    assert whole.complete_until == (min(known) if len(known) == SHARDS else None)


def test_the_highest_revision_of_a_shard_counts_once() -> None:
    first, late = observed(0, 1, ok=5), observed(0, 1, ok=6, revision=1)
    for order in ([first, late], [late, first], [late, first, late]):
        whole = folded(order)
        assert whole is not None
        assert whole.outcomes == {"ok": 6}


def test_a_shard_through_which_no_edge_speaks_does_not_make_the_rest_unknown() -> None:
    """It has read all that is there for it up to NOON + 1 s: no edge speaks through it."""
    empty = replace(observed(1, 2, ok=0), edges=0, complete_until=NOON + SECOND)
    speaks = replace(observed(0, 2, ok=5), edges=1, complete_until=NOON + 2 * SECOND)
    whole = folded([empty, replace(speaks, in_flight=4, pending=1)])
    assert whole is not None
    assert (whole.in_flight, whole.pending, whole.outcomes) == (4, 1, {"ok": 5})
    assert whole.complete_until == NOON + SECOND
    silent = folded([empty, speaks])
    assert silent is not None
    assert silent.in_flight is None


def test_an_empty_shard_that_does_not_know_how_far_it_has_read_makes_it_unknown() -> None:
    behind = replace(observed(1, 2, ok=0), edges=None, complete_until=None)
    speaks = replace(observed(0, 2, ok=5), edges=1, complete_until=NOON, in_flight=4, pending=0)
    whole = folded([behind, speaks])
    assert whole is not None
    assert (whole.complete_until, whole.in_flight) == (None, None)


def test_shards_of_which_none_hears_an_edge_know_nothing_together() -> None:
    empty = replace(observed(0, 2, ok=0), edges=0, complete_until=NOON)
    whole = folded([empty, replace(empty, shard=1)])
    assert whole is not None
    assert (whole.complete_until, whole.in_flight, whole.edges) == (None, None, 0)


def test_a_shard_that_can_not_be_counts_as_missing() -> None:
    assert folded([observed(0, 2, ok=1), observed(5, 2, ok=1)]) is None


def test_once_the_partitions_are_shared_out_anew_the_old_shards_do_not_count() -> None:
    old, new = observed(0, 1, ok=9, revision=9), [observed(s, 3, ok=1) for s in range(3)]
    assert folded([old, *new]) == folded(new)


def test_nothing_folds_to_unknown() -> None:
    assert folded([]) is None


def observed(shard: int, shards: int, *, ok: int, revision: int = 0) -> LoadObserved:
    return LoadObserved(
        app="chat",
        second=NOON,
        shard=shard,
        shards=shards,
        revision=revision,
        outcomes={"ok": ok},
    )
