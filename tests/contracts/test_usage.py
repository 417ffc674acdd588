"""Shards of one customer's minute fold to one fact, in any order; a silent shard is unknown."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.usage import AppUsage, UsageMinuteEnded, UsageObserved, folded

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def observed(
    shard: int, shards: int, *, ok: int, app: str = "chat", until: datetime | None = NOON
) -> UsageObserved:
    used = AppUsage(app=app, outcomes={"ok": ok}, units={"input_tokens": ok * 3_000_000})
    return UsageObserved(
        customer="acme",
        minute=NOON,
        shard=shard,
        shards=shards,
        revision=ok,
        complete_until=until,
        apps=(used,),
    )


def ended(shard: int, shards: int, *, until: datetime | None = NOON) -> UsageMinuteEnded:
    return UsageMinuteEnded(
        minute=NOON, shard=shard, shards=shards, customers=1, complete_until=until
    )


@given(st.permutations([observed(0, 3, ok=2), observed(0, 3, ok=5), observed(1, 3, ok=4)]))
def test_the_highest_revision_of_each_shard_adds_up(parts: list[UsageObserved]) -> None:
    whole = folded([*parts, parts[0]], [ended(2, 3), ended(0, 3)])
    assert whole is not None
    assert (whole.revision, whole.shard, whole.shards) == (9, 0, 1)
    assert whole.apps == (
        AppUsage(app="chat", outcomes={"ok": 9}, units={"input_tokens": 27_000_000}),
    )


def test_applications_stay_apart() -> None:
    whole = folded([observed(0, 2, ok=2, app="ocr"), observed(1, 2, ok=1)], [])
    assert whole is not None
    assert [(each.app, each.outcomes) for each in whole.apps] == [
        ("chat", {"ok": 1}),
        ("ocr", {"ok": 2}),
    ]


def test_a_shard_that_has_not_spoken_makes_it_unknown_and_one_without_usage_does_not() -> None:
    parts = [observed(0, 2, ok=2)]
    assert folded(parts, []) is None
    assert folded(parts, [ended(0, 2)]) is None
    whole = folded(parts, [ended(1, 2, until=NOON - MINUTE)])
    assert whole is not None
    assert whole.complete_until == NOON - MINUTE
    unknown = folded(parts, [ended(1, 2, until=None)])
    assert unknown is not None
    assert unknown.complete_until is None


def test_where_nobody_has_a_fact_there_is_nothing_to_tell() -> None:
    assert folded([], [ended(0, 1)]) is None


def test_once_the_partitions_are_shared_out_anew_the_old_shards_do_not_count() -> None:
    new = [observed(shard, 3, ok=1) for shard in range(3)]
    assert folded([observed(0, 1, ok=9), *new], [ended(0, 1)]) == folded(new, [])
