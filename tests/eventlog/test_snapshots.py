"""Snapshot + tail = full fold, whatever was written and however snapshots were cut and mixed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.errors import UnavailableError
from midstage.contracts.topics import Topic
from midstage.eventlog.fold import Fold, Verdict
from midstage.eventlog.log import BEGINNING, Log, Message, Partition, Record
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.murmur2 import partition_of
from midstage.eventlog.snapshots import Snapshots, code_of
from midstage.testkit.waiting import within

from .accounts import (
    ACCOUNTS,
    NOW,
    Account,
    Credited,
    Debited,
    Fact,
    Frozen,
    NewerFact,
    accounts_log,
    credit,
    evolve,
    put,
    record,
    replicas,
    take,
    versions,
)
from .running import running

PLACES = [Partition(topic=ACCOUNTS.name, number=number) for number in range(3)]
CODE = code_of(evolve)

facts = st.one_of(
    st.builds(Credited, amount=st.integers(-3, 9)), st.builds(Debited, amount=st.integers(0, 9))
)
writes = st.builds(
    record,
    st.sampled_from(["alice", "bob", "carol", "dave"]),
    st.integers(1, 5),
    facts,
    command_id=st.sampled_from([f"c{number}" for number in range(12)]),
    epoch=st.sampled_from([None, None, 1, 2]),
)
takes = st.builds(take, st.integers(0, 2), st.integers(1, 3), st.sampled_from(["one", "two"]))
garbage = st.builds(Message, topic=st.just(ACCOUNTS.name), key=st.just(b"alice"), value=st.binary())
histories = st.lists(st.one_of(writes, writes, writes, takes, garbage), max_size=40)


def fold() -> Fold[Account, Fact]:
    return Fold(topic=ACCOUNTS, initial=Account(), evolve=evolve)


def standing(messages: Iterable[Message]) -> list[Record]:
    """The records as they would stand in the log."""
    ends: Counter[int] = Counter()
    records = []
    for each in messages:
        number = each.partition
        if number is None:
            number = partition_of(each.key or b"", len(PLACES))
        records.append(
            Record(
                partition=PLACES[number],
                offset=ends[number],
                key=each.key,
                value=each.value,
                headers=each.headers,
            )
        )
        ends[number] += 1
    return records


def ends_of(records: Sequence[Record]) -> dict[Partition, int]:
    return {place: sum(1 for each in records if each.partition == place) for place in PLACES}


def folded(records: Sequence[Record]) -> Fold[Account, Fact]:
    made = fold()
    for each in records:
        made.apply(each)
    return made


def snapshots(log: Log, *, code: str = CODE, topic: Topic = ACCOUNTS) -> Snapshots[Account, Fact]:
    return Snapshots(log=log, topic=topic, state=Account, code=code, every=1)


def saved(records: Sequence[Record], *, code: str = CODE) -> MemoryLog:
    """A log with one snapshot, taken after ``records``."""
    log = accounts_log()
    writing = snapshots(log, code=code)
    at = ends_of(records)

    def place_of(key: str) -> tuple[int, int]:
        number = partition_of(key.encode(), len(PLACES))
        return number, at[PLACES[number]]

    whole = folded(records)
    writing.begin(whole.saved(place_of), at, held=whole.held())
    within(60, writing.finish)
    writing.close()
    return log


def restarted(log: MemoryLog, records: Sequence[Record]) -> Fold[Account, Fact] | None:
    """Snapshot and tail; None where no snapshot fits."""
    found = snapshots(log).newest(oldest=dict.fromkeys(PLACES, 0), ends=ends_of(records))
    if found is None:
        return None
    made = fold()
    for each in found.keys:
        made.restore(each)
    for number, holder in enumerate(found.taken):
        made.restore_taken(number, holder)
    for late in records:
        if late.offset >= found.starts[late.partition]:
            made.apply(late)
    return made


def assert_same(one: Fold[Account, Fact], other: Fold[Account, Fact]) -> None:
    assert one.states() == other.states()
    assert one.held() == other.held()
    for key in one.states():
        assert one.state(key) == other.state(key)
    for number in range(12):
        mine, theirs = (each.outcome(f"c{number}", now=NOW) for each in (one, other))
        assert (mine is None) == (theirs is None)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(histories, st.data())
def test_snapshot_and_tail_is_the_full_fold(history: list[Message], data: st.DataObject) -> None:
    records = standing(history)
    cut = data.draw(st.integers(0, len(records)), label="cut")

    again = restarted(saved(records[:cut]), records)

    assert again is not None
    assert_same(again, folded(records))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(histories, st.data())
def test_snapshots_of_two_replicas_mixed_in_any_order_are_still_right(
    history: list[Message], data: st.DataObject
) -> None:
    records = standing(history)
    cuts = data.draw(st.tuples(*[st.integers(0, len(records))] * 2), label="cuts")
    halves = [written_to(saved(records[:cut])) for cut in cuts]
    mixed: list[Message] = []
    while any(halves):
        half = data.draw(st.sampled_from([half for half in halves if half]))
        mixed.append(half.pop(0))
    log = accounts_log()
    put(log, *mixed)

    again = restarted(log, records)

    assert again is not None
    assert again.states() == folded(records).states()
    assert again.held() == folded(records).held()


def written_to(log: MemoryLog) -> list[Message]:
    [place] = log.partitions(ACCOUNTS.snapshots)
    records = log.reader({place: BEGINNING}).poll(most=1000, timeout_s=0.0)
    return [
        Message(topic=place.topic, key=each.key, value=each.value or b"", headers=each.headers)
        for each in records
    ]


def records_in_snapshots(log: Log) -> int:
    return sum(log.ends(log.partitions(ACCOUNTS.snapshots)).values())


HISTORY = [
    record("alice", 1, Credited(amount=5), command_id="c1"),
    record("bob", 1, Credited(amount=7), command_id="c2"),
    record("alice", 2, Debited(amount=1), command_id="c3"),
]


def test_a_snapshot_of_other_code_is_ignored() -> None:
    records = standing(HISTORY)
    assert restarted(saved(records, code="older"), records) is None


def test_a_snapshot_that_lacks_a_key_is_ignored() -> None:
    records = standing(HISTORY)
    log = accounts_log()
    put(log, *[each for each in written_to(saved(records)) if each.key != b"bob"])
    assert restarted(log, records) is None


def test_a_snapshot_with_a_damaged_key_is_ignored() -> None:
    records = standing(HISTORY)
    log = saved(records)
    put(log, Message(topic=ACCOUNTS.snapshots, key=b"bob", value=b'{"fits":'))
    assert restarted(log, records) is None


def test_a_snapshot_beyond_the_end_of_the_log_is_ignored() -> None:
    """The log was made anew: what the snapshot tells of is not in it."""
    records = standing(HISTORY)
    assert restarted(saved(records), records[:1]) is None


def test_a_key_saved_ahead_of_its_partition_is_not_folded_twice() -> None:
    """A key's own offset counts: a command id that came again later must not count as older."""
    ahead = folded(standing(HISTORY[:1]))
    alice = PLACES[partition_of(b"alice", len(PLACES))]
    [saved_alice] = ahead.saved(lambda _: (alice.number, 3))
    again = fold()
    again.restore(saved_alice)
    gone = standing([record("alice", 2, Debited(amount=4), command_id="c9")])
    assert again.apply(gone[0]).verdict is Verdict.LATE
    assert again.state("alice") == (1, Account(balance=5, turns=1))


def test_outcomes_are_let_go_of_when_their_day_is_over() -> None:
    made = folded(standing(HISTORY))
    assert remembered(made) == 3
    made.forget(now=NOW + timedelta(hours=24))
    assert remembered(made) == 3
    made.forget(now=NOW + timedelta(hours=24, seconds=1))
    assert remembered(made) == 0


def remembered(made: Fold[Account, Fact]) -> int:
    return sum(len(each.outcomes) for each in made.saved(lambda _: (0, 0)))


def test_a_snapshot_of_another_schema_is_ignored() -> None:
    """The same code over other facts or another state made another fold."""
    records = standing(HISTORY)
    grown = replace(ACCOUNTS, union=NewerFact)
    found = snapshots(saved(records), topic=grown)
    assert found.newest(oldest=dict.fromkeys(PLACES, 0), ends=ends_of(records)) is None


def test_a_snapshot_that_was_not_written_whole_has_no_manifest() -> None:
    log = accounts_log()
    writing = snapshots(log)
    log.lose_next_acknowledgement()
    at = ends_of(standing(HISTORY))
    writing.begin(folded(standing(HISTORY)).saved(lambda _: (0, 0)), at, held={})
    with pytest.raises(UnavailableError, match="not written"):
        within(60, writing.finish)
    assert writing.finish()
    writing.close()
    assert sorted(each.key or b"" for each in written_to(log)) == [b"alice", b"bob"]


def test_a_snapshot_that_can_not_be_written_stops_nobody() -> None:
    log = accounts_log()
    with replicas(log, snapshots=snapshots(log)) as [view]:
        log.lose_next_acknowledgement()  # of the record
        log.lose_next_acknowledgement()  # of the snapshot's first one
        put_lost(log)
        within(60, lambda: view.state("alice")[0] == 1)
        answer = view.execute(key="bob", command_id="c2", payload=b"", decide=credit(1))
        assert answer.version == 1
        assert view.caught_up() is None


def put_lost(log: MemoryLog) -> None:
    writer = log.writer()
    writer.send(record("alice", 1, Credited(amount=5)))
    writer.close()


def test_a_snapshot_is_of_one_code_and_another_code_has_another_hash() -> None:
    assert code_of(evolve) == code_of(evolve) != code_of(partition_of)


def test_a_reader_starts_in_the_middle_from_a_snapshot() -> None:
    """What lies before the snapshot is not even held any more."""
    log = accounts_log()
    place = PLACES[partition_of(b"alice", len(PLACES))]
    with replicas(log, snapshots=snapshots(log)) as [view]:
        for number in range(4):
            view.execute(key="alice", command_id=f"c{number}", payload=b"", decide=credit(1))
        within(60, lambda: stands_at(log, place) == 4)
    put(log, record("alice", 5, Credited(amount=10), command_id="tail"))
    put(log, record("alice", 2, Credited(amount=99), command_id="zombie", event_id="z"))
    log.forget(place, 3)

    with replicas(log, snapshots=snapshots(log)) as [later]:
        assert later.state("alice") == (5, Account(balance=14, turns=5))
        again = later.execute(key="alice", command_id="c0", payload=b"", decide=credit(1))
        assert (again.version, again.repeated) == (1, True)
        assert later.answer("zombie") is None


def stands_at(log: MemoryLog, place: Partition) -> int:
    """From where on a start reads the partition."""
    ends = log.ends(PLACES)
    found = snapshots(log).newest(oldest=dict.fromkeys(PLACES, 0), ends=ends)
    return -1 if found is None else found.starts[place]


def test_without_a_snapshot_that_fits_a_log_cut_short_is_not_folded() -> None:
    log = saved(standing(HISTORY), code="older")
    put(log, *HISTORY)
    log.forget(PLACES[partition_of(b"alice", len(PLACES))], 1)
    view = versions(log, snapshots=snapshots(log))
    with running(view):
        within(60, lambda: "does not hold offset 0" in (view.caught_up() or ""))


def test_a_fold_that_is_stuck_leaves_no_snapshot() -> None:
    """The engine that knows the fact must meet its record again."""
    log = accounts_log()
    put(log, record("alice", 1, Frozen(why="newer")))
    view = versions(log, snapshots=snapshots(log))
    with running(view):
        within(60, lambda: "alice" in (view.caught_up() or ""))
        put(log, record("bob", 1, Credited(amount=1)))
        within(60, lambda: view.state("bob")[0] == 1)
    assert records_in_snapshots(log) == 0
