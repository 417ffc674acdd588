"""The log decides: whoever appends a version first, and every replica agrees on who that was."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

import pytest

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.log import Message
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within

from .accounts import (
    ACCOUNTS,
    NOW,
    Account,
    Credited,
    Debited,
    Fact,
    Frozen,
    View,
    accounts_log,
    credit,
    debit,
    put,
    ready,
    record,
    records_in,
    replicas,
    versions,
)
from .running import running


@pytest.fixture
def log() -> MemoryLog:
    return accounts_log()


def execute(
    view: View,
    command_id: str,
    decide: Callable[[Account], Sequence[Fact]],
    *,
    key: str = "alice",
    payload: bytes = b"",
) -> int:
    return view.execute(key=key, command_id=command_id, payload=payload, decide=decide).version


def comes_to(view: View, key: str, wanted: tuple[int, Account]) -> None:
    within(60, lambda: view.state(key) == wanted)


def adds_up(view: View, balance: int) -> bool:
    return sum(account.balance for account in view.states().values()) == balance


def decided(facts: Sequence[Fact], _account: Account) -> Sequence[Fact]:
    return facts


def test_a_command_is_answered_with_the_version_that_holds_it(log: MemoryLog) -> None:
    with replicas(log) as [view]:
        answer = view.execute(key="alice", command_id="c1", payload=b"", decide=credit(5))
        assert (answer.key, answer.version, answer.command_id) == ("alice", 1, "c1")
        assert answer.facts == (Credited(amount=5),)
        assert not answer.repeated
        assert view.state("alice") == (1, Account(balance=5, turns=1))
        assert view.state("bob") == (0, Account())
        assert dict(view.states()) == {"alice": Account(balance=5, turns=1)}


def test_states_are_the_same_object_until_something_changes(log: MemoryLog) -> None:
    with replicas(log) as [view]:
        before = view.states()
        assert view.states() is before
        execute(view, "c1", credit(5))
        assert before == {}
        assert view.states() == {"alice": Account(balance=5, turns=1)}


def test_two_replicas_that_race_for_one_version_both_get_what_they_asked_for(
    log: MemoryLog,
) -> None:
    """Both decide on version 0; the log takes one, and the other is decided again."""
    both_decided = threading.Barrier(2, timeout=60)
    tries: list[str] = []

    def at_once(name: str, amount: int) -> Callable[[Account], Sequence[Fact]]:
        def decide(account: Account) -> Sequence[Fact]:
            tries.append(name)
            if account.turns == 0:
                both_decided.wait()
            return [Credited(amount=amount)]

        return decide

    with replicas(log, 2) as [one, other], ThreadPoolExecutor() as pool:
        first = pool.submit(execute, one, "c1", at_once("one", 1))
        second = pool.submit(execute, other, "c2", at_once("other", 10))
        assert {first.result(60), second.result(60)} == {1, 2}
        for view in (one, other):
            comes_to(view, "alice", (2, Account(balance=11, turns=2)))
    assert sorted(tries) in (["one", "one", "other"], ["one", "other", "other"])
    assert records_in(log) == 3


def test_of_two_racing_commands_only_one_spends_the_last_coin(log: MemoryLog) -> None:
    both_decided = threading.Barrier(2, timeout=60)

    def spend(account: Account) -> Sequence[Fact]:
        facts = debit(5)(account)
        both_decided.wait()
        return facts

    def tried(view: View, command_id: str) -> str:
        try:
            execute(view, command_id, spend)
        except RefusedError as e:
            return str(e)
        return "spent"

    with replicas(log, 2) as views, ThreadPoolExecutor() as pool:
        execute(views[0], "c0", credit(5))
        within(60, lambda: views[1].state("alice")[0] == 1)
        tries = [pool.submit(tried, view, f"c{n}") for n, view in enumerate(views, 1)]
        assert sorted(t.result(60) for t in tries) == ["only 0 left", "spent"]
        assert views[0].state("alice") == (2, Account(balance=0, turns=2))


def test_many_commands_at_once_each_count_once(log: MemoryLog) -> None:
    with replicas(log, 2) as views, ThreadPoolExecutor(8) as pool:
        jobs = [
            pool.submit(execute, views[n % 2], f"c{n}", credit(1), key=f"k{n % 5}")
            for n in range(40)
        ]
        for job in jobs:
            job.result(60)
        for view in views:
            within(60, partial(adds_up, view, 40))


def test_a_zombies_late_record_changes_nothing(log: MemoryLog) -> None:
    with replicas(log, 2) as [one, other]:
        execute(one, "c1", credit(5))
        execute(one, "c2", credit(5))
        put(log, record("alice", 2, Debited(amount=10), command_id="zombie"))
        assert execute(one, "c3", credit(1)) == 3
        for view in (one, other):
            comes_to(view, "alice", (3, Account(balance=11, turns=3)))
            assert view.answer("zombie") is None


def test_a_record_that_skips_a_version_changes_nothing(log: MemoryLog) -> None:
    with replicas(log) as [view]:
        put(log, record("alice", 7, Credited(amount=100)))
        assert execute(view, "c1", credit(1)) == 1
        assert view.state("alice") == (1, Account(balance=1, turns=1))


def test_a_lost_acknowledgement_is_settled_by_the_read_back(log: MemoryLog) -> None:
    with replicas(log) as [view]:
        log.lose_next_acknowledgement()
        assert execute(view, "c1", credit(5)) == 1
    assert records_in(log) == 1


def test_an_unknown_delivery_is_said_and_known_later_by_the_command_id(log: MemoryLog) -> None:
    """The broker goes while the command is decided: nobody can say now whether it is written."""

    def cut_and_credit(_account: Account) -> Sequence[Fact]:
        log.cut()
        return [Credited(amount=5)]

    with replicas(log, answer_within_s=0.3) as [view]:
        with pytest.raises(UnavailableError, match="outcome unknown, ask by command id 'c1'"):
            execute(view, "c1", cut_and_credit)
        assert view.answer("c1") is None
        log.mend()
        answer = within(60, lambda: view.answer("c1"))
        assert answer is not None
        assert (answer.version, answer.facts) == (1, (Credited(amount=5),))
        within(60, lambda: ready(view))
        assert execute(view, "c1", credit(5)) == 1
    assert records_in(log) == 1


def test_while_the_broker_is_away_a_command_is_not_even_tried(log: MemoryLog) -> None:
    with replicas(log, answer_within_s=0.3) as [view]:
        log.cut()
        within(60, lambda: view.caught_up() == "the broker is away")
        with pytest.raises(UnavailableError, match="can't decide now"):
            execute(view, "c1", credit(5))
        log.mend()
        within(60, lambda: ready(view))
        assert view.answer("c1") is None
    assert records_in(log) == 0


def test_a_repeated_command_has_the_first_ones_outcome_from_any_replica(log: MemoryLog) -> None:
    with replicas(log, 2) as [one, other]:
        first = one.execute(key="alice", command_id="c1", payload=b"5", decide=credit(5))
        again = other.execute(key="alice", command_id="c1", payload=b"5", decide=credit(5))
        assert (again.version, again.facts) == (first.version, first.facts)
        assert (first.repeated, again.repeated) == (False, True)
    assert records_in(log) >= 1
    with replicas(log) as [later]:
        assert later.state("alice") == (1, Account(balance=5, turns=1))


@pytest.mark.parametrize(("key", "payload"), [("alice", b"other"), ("bob", b"5")])
def test_a_command_id_with_another_payload_or_key_is_a_conflict(
    log: MemoryLog, key: str, payload: bytes
) -> None:
    with replicas(log) as [view]:
        execute(view, "c1", credit(5), payload=b"5")
        with pytest.raises(RefusedError, match="'c1' was used for another command") as refused:
            execute(view, "c1", credit(5), key=key, payload=payload)
        assert refused.value.status == 409
    assert records_in(log) == 1


def test_a_command_id_is_forgotten_after_a_day_unless_it_is_kept_for_ever(log: MemoryLog) -> None:
    clock: list[datetime] = [NOW]
    with replicas(log, now=lambda: clock[0]) as [view]:
        execute(view, "c1", credit(5))
        clock[0] = NOW + timedelta(hours=24)
        assert execute(view, "c1", credit(5)) == 1
        clock[0] = NOW + timedelta(hours=24, seconds=1)
        assert view.answer("c1") is None
        assert execute(view, "c1", credit(5)) == 2


def test_a_refusal_appends_nothing_and_the_command_is_decided_again(log: MemoryLog) -> None:
    with replicas(log) as [view]:
        with pytest.raises(RefusedError, match="only 0 left"):
            execute(view, "c1", debit(5))
        assert records_in(log) == 0
        execute(view, "c2", credit(5))
        assert execute(view, "c1", debit(5)) == 2


def test_a_refusal_never_comes_from_an_old_state(log: MemoryLog) -> None:
    """Another replica credits while ours, which has not read that yet, is about to refuse."""
    seen: list[int] = []

    def spend(account: Account) -> Sequence[Fact]:
        seen.append(account.balance)
        if len(seen) == 1:
            put(log, record("alice", 1, Credited(amount=5)))
        return debit(5)(account)

    with replicas(log) as [view]:
        assert execute(view, "c1", spend) == 2
    assert seen == [0, 5]


def test_nothing_to_do_is_never_said_of_an_old_state(log: MemoryLog) -> None:
    seen: list[int] = []

    def spend_all(account: Account) -> Sequence[Fact]:
        seen.append(account.balance)
        if len(seen) == 1:
            put(log, record("alice", 1, Credited(amount=5)))
        return [Debited(amount=account.balance)] if account.balance else []

    with replicas(log) as [view]:
        assert execute(view, "c1", spend_all) == 2
    assert seen == [0, 5]


def test_a_decision_without_facts_appends_nothing(log: MemoryLog) -> None:
    with replicas(log) as [view]:
        execute(view, "c1", credit(5))
        answer = view.execute(key="alice", command_id="c2", payload=b"", decide=lambda _: [])
        assert (answer.version, answer.facts, answer.repeated) == (1, (), False)
        assert view.answer("c2") is None
    assert records_in(log) == 1


def test_a_crash_between_append_and_read_back_is_settled_by_the_log(log: MemoryLog) -> None:
    class KilledError(Exception):
        pass

    def killed(place: str) -> None:
        if place == "append:sent":
            raise KilledError

    with replicas(log, reached=killed) as [view], pytest.raises(KilledError):
        execute(view, "c1", credit(5))

    with replicas(log) as [restarted]:
        again = restarted.execute(key="alice", command_id="c1", payload=b"", decide=credit(5))
        assert (again.version, again.repeated) == (1, True)
        assert restarted.state("alice") == (1, Account(balance=5, turns=1))


def test_a_fact_that_is_not_known_here_stops_its_key_and_no_other(log: MemoryLog) -> None:
    with replicas(log) as [view]:
        execute(view, "c1", credit(5))
        put(
            log,
            record("alice", 2, Frozen(why="a newer engine decided this")),
            record("alice", 3, Credited(amount=1)),
        )
        within(60, lambda: "alice" in (view.caught_up() or ""))
        assert "tests/0" in (view.caught_up() or "")
        with pytest.raises(UnavailableError, match="not known here"):
            execute(view, "c2", credit(1))
        assert view.state("alice") == (1, Account(balance=5, turns=1))
        assert execute(view, "c3", credit(1), key="bob") == 1


@pytest.mark.parametrize(
    "garbage",
    [
        Message(topic=ACCOUNTS.name, key=b"alice", value=b"\xff\x00"),
        Message(topic=ACCOUNTS.name, key=b"alice", value=b'{"specversion":"1.0"}'),
        Message(
            topic=ACCOUNTS.name,
            key=b"bob",
            value=record("alice", 1, Credited(amount=100)).value,
            headers=record("alice", 1).headers,
        ),
    ],
    ids=["no JSON", "no event", "of another key"],
)
def test_garbage_is_not_applied_and_stops_nobody(log: MemoryLog, garbage: Message) -> None:
    with replicas(log) as [view]:
        put(log, garbage)
        assert execute(view, "c1", credit(1)) == 1
        assert execute(view, "c2", credit(1), key="bob") == 1
        assert view.caught_up() is None
        assert view.state("alice") == (1, Account(balance=1, turns=1))


def test_a_decision_that_readers_would_not_take_is_refused_and_not_appended(
    log: MemoryLog,
) -> None:
    with replicas(log) as [view]:
        wrong: list[Sequence[Fact]] = [
            [Credited(amount="many")],  # type: ignore[arg-type]  # a bug in a service
            [Frozen(why="not ours")],  # type: ignore[list-item]  # a bug in a service
        ]
        for facts in wrong:
            with pytest.raises(RefusedError, match="readers"):
                execute(view, "c1", partial(decided, facts))
        with pytest.raises(RefusedError, match="ask for less") as refused:
            execute(view, "c2", lambda _: [Credited(amount=1)] * 100_000)
        assert refused.value.status == 413
    assert records_in(log) == 0


@pytest.mark.parametrize("name", ["", "x" * 257])
def test_a_command_without_a_proper_name_is_refused(log: MemoryLog, name: str) -> None:
    with replicas(log) as [view]:
        with pytest.raises(RefusedError, match="command id"):
            execute(view, name, credit(1))
        with pytest.raises(RefusedError, match="key"):
            execute(view, "c1", credit(1), key=name)


def test_a_command_before_the_first_fold_waits_for_it_and_then_says_so(log: MemoryLog) -> None:
    view = versions(log, answer_within_s=0.1)
    with pytest.raises(UnavailableError, match="not started yet"):
        execute(view, "c1", credit(1))
    assert view.caught_up() == "not started yet"


def test_a_log_whose_beginning_is_gone_is_not_folded_as_if_it_were_whole(log: MemoryLog) -> None:
    put(log, record("alice", 1, Credited(amount=5)), record("alice", 2, Credited(amount=5)))
    [place] = [place for place, end in log.ends(log.partitions(ACCOUNTS.name)).items() if end]
    log.forget(place, 1)
    view = versions(log)
    with running(view):
        within(60, lambda: "does not hold offset 0" in (view.caught_up() or ""))
        assert dict(view.states()) == {}


def test_every_replica_has_the_same_states_whatever_was_written(log: MemoryLog) -> None:
    put(
        log,
        record("alice", 1, Credited(amount=1)),
        record("alice", 1, Credited(amount=50)),
        record("alice", 3, Credited(amount=50)),
        record("alice", 2, Debited(amount=1), Credited(amount=2)),
        record("bob", 2, Credited(amount=50)),
        record("bob", 1, Credited(amount=4)),
    )
    with replicas(log, 3) as views:
        for view in views:
            assert dict(view.states()) == {
                "alice": Account(balance=2, turns=3),
                "bob": Account(balance=4, turns=1),
            }
