"""Who decides which partition: one owner each, fair, and nothing moves that need not."""

from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.members import MemberLeft, MemberSeen
from midstage.contracts.topics import ALARMS, EVALUATIONS, LOAD, SCALING
from midstage.hpa.decide.shares import shares
from midstage.hpa.views.members import SILENCE_S, Members

PARTITIONS = SCALING.partitions
names = st.sampled_from([f"hpa/{letter}" for letter in "abcdefgh"])
holders = st.dictionaries(st.integers(0, PARTITIONS - 1), names)
members = st.frozensets(names, min_size=1)


@given(holders, members)
def test_each_partition_has_one_owner_who_is_there_and_none_has_two_more_than_another(
    held: Mapping[int, str], there: frozenset[str]
) -> None:
    owners = shares(PARTITIONS, held, there)
    assert sorted(owners) == list(range(PARTITIONS))
    assert set(owners.values()) <= there
    counts = [Counter(owners.values())[member] for member in there]
    assert max(counts) - min(counts) <= 1


@given(holders, members)
def test_what_is_fair_stays_as_it_is(held: Mapping[int, str], there: frozenset[str]) -> None:
    owners = shares(PARTITIONS, held, there)
    assert shares(PARTITIONS, owners, there) == owners


@given(members, names)
def test_who_joins_takes_from_others_and_nothing_else_moves(
    there: frozenset[str], new: str
) -> None:
    before = shares(PARTITIONS, {}, there)
    after = shares(PARTITIONS, before, there | {new})
    moved = {number for number in after if after[number] != before[number]}
    assert all(after[number] == new for number in moved)


@given(members, names)
def test_when_one_leaves_its_own_partitions_alone_move(there: frozenset[str], gone: str) -> None:
    before = shares(PARTITIONS, {}, there | {gone})
    left = there - {gone}
    after = shares(PARTITIONS, before, left)
    moved = {number for number in after if after[number] != before[number]}
    assert moved <= {number for number in before if before[number] == gone}


def test_nobody_there_owns_nothing() -> None:
    assert shares(PARTITIONS, {0: "hpa/a"}, ()) == {}


def test_an_application_has_the_same_partition_in_all_that_is_decided_of_it() -> None:
    """An epoch of the log of counts is told in the evaluations of the same partition."""
    assert SCALING.partitions == EVALUATIONS.partitions == ALARMS.partitions
    assert LOAD.partitions % SCALING.partitions == 0


def test_a_member_is_there_until_it_leaves_or_was_silent() -> None:
    heard = Members("hpa")
    for member in ("hpa/a", "hpa/b"):
        heard.apply(MemberSeen(service="hpa", member=member), 10.0)
    heard.apply(MemberSeen(service="stats", member="stats/0"), 10.0)
    assert heard.present(11.0) == {"hpa/a", "hpa/b"}
    heard.apply(MemberLeft(service="hpa", member="hpa/a"), 11.0)
    assert heard.present(11.0) == {"hpa/b"}
    heard.apply(MemberSeen(service="hpa", member="hpa/c"), 12.0)
    assert heard.present(10.0 + SILENCE_S) == {"hpa/c"}
    heard.apply(MemberSeen(service="hpa", member="hpa/b"), 20.0)
    assert heard.present(20.0) == {"hpa/b"}
