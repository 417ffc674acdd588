"""Replicas share a versioned log: what is decided in an epoch that is over counts for nobody."""

import pytest

from midstage.contracts.errors import RefusedError
from midstage.contracts.topics import Topic
from midstage.eventlog.fold import Fold, Verdict
from midstage.eventlog.log import Message, Partition, Record
from midstage.eventlog.murmur2 import partition_of
from midstage.testkit.waiting import within

from .accounts import (
    ACCOUNTS,
    Account,
    Credited,
    Fact,
    accounts_log,
    credit,
    evolve,
    put,
    record,
    replicas,
    take,
)
from .test_snapshots import snapshots

ALICE = partition_of(b"alice", ACCOUNTS.partitions)
TEN = Credited(amount=10)


def verdicts(*messages: Message) -> list[Verdict]:
    """What a fold makes of them, all in the partition of alice."""
    fold: Fold[Account, Fact] = Fold(topic=ACCOUNTS, initial=Account(), evolve=evolve)
    return [fold.apply(stood(each, offset)).verdict for offset, each in enumerate(messages)]


def stood(message: Message, offset: int, *, number: int = ALICE, of: Topic = ACCOUNTS) -> Record:
    return Record(
        partition=Partition(topic=of.name, number=number),
        offset=offset,
        key=message.key,
        value=message.value,
        headers=message.headers,
    )


def test_a_zombies_decision_does_not_count_though_its_version_is_the_next() -> None:
    """Its successor has decided nothing yet: the version alone would let it pass."""
    found = verdicts(
        take(ALICE, 1, "zombie"),
        record("alice", 1, TEN, epoch=1),
        take(ALICE, 2, "successor"),
        record("alice", 2, TEN, epoch=1),
        record("alice", 2, TEN, epoch=2),
    )
    assert found == [
        *(Verdict.TAKEN, Verdict.ACCEPTED, Verdict.TAKEN),
        *(Verdict.LATE, Verdict.ACCEPTED),
    ]


def test_of_two_who_take_at_once_the_first_in_the_log_holds() -> None:
    found = verdicts(
        take(ALICE, 1, "one"),
        take(ALICE, 1, "two"),
        record("alice", 1, TEN, epoch=1),
        take(ALICE, 3, "skips an epoch"),
    )
    assert found == [Verdict.TAKEN, Verdict.LATE, Verdict.ACCEPTED, Verdict.LATE]


def test_what_names_no_epoch_counts_whoever_holds_the_partition() -> None:
    """People's orders: any replica takes them."""
    found = verdicts(take(ALICE, 1, "one"), record("alice", 1, TEN))
    assert found == [Verdict.TAKEN, Verdict.ACCEPTED]


def test_an_epoch_that_nobody_took_does_not_count() -> None:
    assert verdicts(record("alice", 1, TEN, epoch=1)) == [Verdict.LATE]


def test_a_partition_is_taken_in_itself_alone() -> None:
    fold: Fold[Account, Fact] = Fold(topic=ACCOUNTS, initial=Account(), evolve=evolve)
    other = (ALICE + 1) % ACCOUNTS.partitions
    assert fold.apply(stood(take(ALICE, 1, "one"), 0, number=other)).verdict is Verdict.BROKEN
    assert fold.held() == {}


@pytest.mark.slow
def test_whoever_takes_a_partition_decides_its_keys_and_the_one_before_is_refused() -> None:
    log = accounts_log()
    with replicas(log, 2) as [one, two]:
        one.take(ALICE, "one")
        one.execute(key="alice", command_id="c1", payload=b"", decide=credit(5), epoch=1)
        within(60, lambda: ALICE in two.held())  # or it takes in the same epoch, as the second
        two.take(ALICE, "two")
        assert two.held()[ALICE].owner == "two"
        two.execute(key="alice", command_id="c2", payload=b"", decide=credit(7), epoch=2)
        with pytest.raises(RefusedError, match="another process"):
            one.execute(key="alice", command_id="c3", payload=b"", decide=credit(100), epoch=1)
        within(60, lambda: one.state("alice") == two.state("alice"))
        assert one.state("alice") == (2, Account(balance=12, turns=2))
        two.take(ALICE, "two")
        assert two.held()[ALICE].epoch == 2  # who holds it takes nothing anew


@pytest.mark.slow
def test_what_was_sent_before_the_take_over_and_came_after_it_is_refused() -> None:
    """Stopped between its look at who holds the partition and the log: only readers can refuse."""
    log = accounts_log()
    woken = []

    def stopped(place: str) -> None:
        woken.append(place)

    with replicas(log, 1) as [two], replicas(log, 1, reached=stopped) as [one]:
        one.take(ALICE, "one")

        def takes_over(_account: Account) -> list[Fact]:
            if two.held().get(ALICE) is None or two.held()[ALICE].owner == "one":
                within(60, lambda: ALICE in two.held())
                two.take(ALICE, "two")
            return [TEN]

        with pytest.raises(RefusedError, match="another process"):
            one.execute(key="alice", command_id="c1", payload=b"", decide=takes_over, epoch=1)
        assert "append:sent" in woken  # it stood in the log
        assert one.state("alice") == two.state("alice") == (0, Account())


@pytest.mark.slow
def test_a_start_from_a_snapshot_knows_who_holds_what() -> None:
    log = accounts_log()
    with replicas(log, snapshots=snapshots(log)) as [one]:
        one.take(ALICE, "one")
        one.execute(key="alice", command_id="c1", payload=b"", decide=credit(5), epoch=1)
    put(log, record("alice", 2, TEN, epoch=2), record("alice", 2, Credited(amount=1), epoch=1))
    with replicas(log, snapshots=snapshots(log)) as [again]:
        assert again.held()[ALICE].owner == "one"
        assert again.state("alice") == (2, Account(balance=6, turns=2))
