"""A bucket that is lent: who gets how much, what comes back, and what a successor knows."""

import pytest

from midstage.throttle.decide.claims.lent import LentClaims
from midstage.throttle.decide.claims.levels import BucketClaims
from midstage.throttle.decide.grants import MOST_WRITTEN, OPEN_GRANTS, OTHERS, Grants
from midstage.throttle.decide.lending import TOKEN, Ask, LentBucket
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.model.leases import Grant, holder_id

SECOND = 10**9
TERM = 5 * SECOND


def owner(rate: int = 1_000_000, burst: int = 32) -> LentBucket:
    return LentBucket(TokenBucket(units=rate, period_ns=TOKEN, burst=burst, now_ns=0))


def asked(bucket: LentBucket, holder: str, wants: int, *, serial: int, now: int = 0) -> Grant:
    ask = Ask(holder=holder, wants_micros=wants, holding=serial - 1)
    return bucket.lend(ask, serial=serial, now_ns=now, term_ns=TERM)


def test_a_dead_holders_part_comes_back_after_its_term() -> None:
    bucket = owner()
    grant = asked(bucket, "a", 10**9, serial=1)
    assert bucket.rate == 1_000_000 - grant.rate_micros
    assert bucket.full == (32 - grant.burst) * TOKEN
    bucket.fill(TERM - 1)
    assert bucket.rate < 1_000_000
    bucket.fill(TERM)
    assert (bucket.rate, bucket.full) == (1_000_000, 32 * TOKEN)
    assert bucket.untouched(TERM + 60 * SECOND)


def test_what_a_holder_no_longer_wants_others_get_when_it_says_that_it_knows() -> None:
    bucket = owner()
    first = asked(bucket, "a", 10**9, serial=1)
    less = asked(bucket, "a", 100_000, serial=2)
    assert less.rate_micros == 100_000
    assert bucket.lent()[0] == first.rate_micros
    asked(bucket, "a", 100_000, serial=3)
    assert bucket.lent()[0] == 100_000


def test_demand_decides_who_gets_how_much() -> None:
    bucket = owner()
    for serial in range(1, 8, 2):
        busy = asked(bucket, "busy", 900_000, serial=serial)
        calm = asked(bucket, "calm", 10_000, serial=serial + 1)
    assert calm.rate_micros == 10_000
    assert busy.rate_micros == 900_000


def test_what_is_given_back_is_the_owners_at_once() -> None:
    bucket = owner()
    grant = asked(bucket, "a", 10**9, serial=1)
    bucket.give_back("a", holding=1, left=grant.add, now_ns=0)
    assert bucket.untouched(0)
    bucket.give_back("a", holding=1, left=grant.add, now_ns=0)
    assert bucket.untouched(0)


def test_the_owners_own_demand_is_one_of_the_shares() -> None:
    bucket = owner()
    asked(bucket, "a", 10**9, serial=1)
    for _ in range(5):
        bucket.take(1, SECOND)
    for serial in range(2, 6):
        grant = asked(bucket, "a", 10**9, serial=serial, now=SECOND)
    assert grant.rate_micros <= 500_000 + 1_000_000 // 16


def test_a_bucket_of_one_is_not_divided() -> None:
    grant = asked(owner(burst=1), "a", 10**9, serial=1)
    assert (grant.rate_micros, grant.burst, grant.add) == (0, 0, 0)


def test_a_holder_that_asks_without_end_keeps_no_list_without_end() -> None:
    bucket = owner()
    for serial in range(1, 100):
        bucket.lend(Ask(holder="a", wants_micros=serial), serial=serial, now_ns=0, term_ns=TERM)
    assert bucket.grants.open(holder_id("a")) <= OPEN_GRANTS


def successor_of(bucket: LentBucket, now: int = 0) -> LentBucket:
    """Who goes on from what the log says at ``now``."""
    claim = LentClaims().of(bucket, 0, now, now)
    successor = owner(bucket.whole_rate, bucket.whole_burst)
    LentClaims().restore(successor, claim, now)
    return successor


def test_a_successor_leaves_a_dead_holder_its_part_until_its_term() -> None:
    bucket = owner()
    grant = asked(bucket, "a", 10**9, serial=1)
    successor = successor_of(bucket, SECOND)
    assert successor.lent() == (grant.rate_micros, grant.burst)
    assert (successor.rate, successor.full) == (bucket.rate, bucket.full)
    successor.fill(TERM - 1)
    assert successor.lent() == (grant.rate_micros, grant.burst)
    successor.fill(TERM)
    assert successor.lent() == (0, 0)
    assert (successor.rate, successor.full) == (1_000_000, 32 * TOKEN)


def test_a_holder_renews_its_part_at_a_successor_as_if_nothing_had_happened() -> None:
    bucket = owner()
    for serial in range(1, 7, 2):
        asked(bucket, "a", 10**9, serial=serial)
        asked(bucket, "b", 10**9, serial=serial + 1)
    lived, successor = bucket, successor_of(bucket)
    for each in (lived, successor):
        ask = Ask(holder="a", wants_micros=10**9, holding=5)
        again = each.lend(ask, serial=7, now_ns=SECOND, term_ns=TERM)
        assert (again.rate_micros, again.burst) == lived.grants.most(holder_id("a"))
        assert again.rate_micros >= 1_000_000 // 3
    assert successor.lent() == lived.lent()


def test_a_successor_has_at_once_what_a_holder_gives_back_to_it() -> None:
    bucket = owner()
    grant = asked(bucket, "a", 10**9, serial=1)
    successor = successor_of(bucket)
    assert successor.give_back("a", holding=1, left=grant.add, now_ns=0)
    assert successor.untouched(0)
    assert not successor.give_back("a", holding=1, left=grant.add, now_ns=0)


def test_an_answer_that_nobody_heard_counts_for_a_successor_until_the_next_one_is_gone_by() -> None:
    bucket = owner()
    more = asked(bucket, "a", 10**9, serial=1)
    asked(bucket, "a", 100_000, serial=2)
    successor = successor_of(bucket)
    asked(successor, "a", 100_000, serial=3)
    assert successor.lent()[0] == more.rate_micros
    asked(successor, "a", 100_000, serial=4)
    assert successor.lent()[0] == 100_000


def test_of_very_many_holders_those_with_least_are_written_as_one() -> None:
    grants, many = Grants(), 4 * MOST_WRITTEN
    for serial in range(1, many):
        grants.add(
            holder_id(f"holder-{serial}"),
            Grant(serial=serial, rate_micros=serial, burst=1, add=0, until_ns=TERM),
        )
    bucket = owner(burst=2 * many)
    bucket.resume(
        level=0, since_ns=0, whole_rate=10**6, whole_burst=bucket.whole_burst, grants=grants
    )
    claim = LentClaims().of(bucket, 0, SECOND, SECOND)
    assert len(",".join(f'"{number}"' for number in claim)) < 8_192
    successor = successor_of(successor_of(bucket, SECOND), SECOND)
    assert len(successor.grants) == MOST_WRITTEN
    assert successor.lent() == bucket.lent()
    assert successor.grants.newest() == bucket.grants.newest() == many - 1
    assert successor.grants.most(OTHERS)[1] == many - MOST_WRITTEN
    big = holder_id(f"holder-{many - 1}")
    assert successor.grants.most(big) == bucket.grants.most(big)
    successor.fill(TERM)
    assert successor.lent() == (0, 0)


def test_a_claim_of_a_bucket_in_other_parts_says_nothing() -> None:
    claim = BucketClaims().of(TokenBucket(units=1, period_ns=SECOND, burst=5, now_ns=0), 0, 0, 0)
    with pytest.raises(ValueError, match="seven numbers"):
        LentClaims().restore(owner(), claim, 0)
    bucket = owner()
    asked(bucket, "a", 10**9, serial=1)
    whole = LentClaims().of(bucket, 0, 0, 0)
    for wrong in (
        (*whole[:3], 7, *whole[4:]),  # other parts of a unit
        whole[:-1],
        (*whole[:-1], -1),
    ):
        successor = owner()
        with pytest.raises(ValueError, match="part"):
            LentClaims().restore(successor, wrong, 0)
        assert successor.untouched(0)
