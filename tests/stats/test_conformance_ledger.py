"""What every ledger promises: run over the one in a file and the verified fake in memory.

``Keeper`` is all that the suite knows of an implementation.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts.fact import Event
from midstage.contracts.requests import RequestCompleted
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Partition
from midstage.stats.adapters.segments import LEAST
from midstage.stats.model import Batch, Committed, Outgoing, OutOfStepError
from midstage.stats.stream.counting import Ledger

from .conftest import NOON, decided, request
from .keepers import InFile, InMemory, Keeper
from .swapped import Swapped

SOURCE = "edges/edge-1/a"
PLACE = Partition(topic="t", number=0)
OTHER = Partition(topic="t", number=1)
PLACES = ("ledger:inserted", "ledger:committed")


class DiedError(Exception):
    """The process dies here."""


@pytest.fixture(params=["memory", "file", "segments"])
def keepers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Keeper]:
    """New ledgers of one implementation, each without anything in it."""
    if request.param == "memory":
        return InMemory
    least = LEAST if request.param == "file" else 2
    return lambda: InFile(tmp_path_factory.mktemp("ledger") / "usage.duckdb", segment_rows=least)


@pytest.fixture
def keeper(keepers: Callable[[], Keeper]) -> Keeper:
    return keepers()


def events(*seqs: int, unnumbered: Sequence[str] = ()) -> list[Event[RequestCompleted]]:
    numbered = [request(SOURCE, seq) for seq in seqs]
    return [*numbered, *(request("jobs", None, event_id=name) for name in unnumbered)]


def counted(
    ledger: Ledger, said: Sequence[Event[RequestCompleted]], *, outgoing: Sequence[str] = ()
) -> Committed:
    """Commit these as the next chunk of ``PLACE``, a record each, as counting does."""
    begin = ledger.positions().get(PLACE, 0)
    batch = leaving(decided(ledger, said), *outgoing)
    return ledger.commit(batch, begins={PLACE: begin}, ends={PLACE: begin + len(said)})


def leaving(batch: Batch, *names: str) -> Batch:
    return Batch(
        rows=batch.rows,
        sources=batch.sources,
        hashes=batch.hashes,
        sums=batch.sums,
        hours=batch.hours,
        outgoing=tuple(letter(name) for name in names),
    )


def letter(name: str) -> Outgoing:
    return Outgoing(
        topic="load", key=name.encode(), value=b"\x00" + name.encode(), headers=(("h", b"\xff"),)
    )


def test_a_new_ledger_knows_nothing(keeper: Keeper) -> None:
    ledger = keeper.opened()
    assert ledger.positions() == {}
    assert ledger.sources(frozenset({SOURCE})) == {}
    assert (ledger.row(), len(ledger.unnumbered(0)), list(ledger.unsent(9))) == (0, 0, [])
    keeper.closed()


def test_what_was_committed_is_there_for_the_next_process(keeper: Keeper) -> None:
    counted(keeper.opened(), events(1, 2, unnumbered=["x"]), outgoing=["a"])
    ledger = keeper.opened()
    assert ledger.positions() == {PLACE: 3}
    assert ledger.row() == 3
    assert ledger.sources(frozenset({SOURCE, "other"}))[SOURCE].seen.spans == ((1, 2),)
    assert len(ledger.unnumbered(0)) == 1
    assert [row[1:] for row in keeper.rows()] == [
        (SOURCE, 1, f"{SOURCE}/1"),
        (SOURCE, 2, f"{SOURCE}/2"),
        ("jobs", None, "x"),
    ]
    assert keeper.sums()["outcome", "ok"] == 3
    keeper.closed()


def test_a_chunk_that_does_not_begin_where_the_last_ended_is_refused_as_a_whole(
    keeper: Keeper,
) -> None:
    ledger = keeper.opened()
    counted(ledger, events(1))
    batch = leaving(decided(ledger, events(2)), "a")
    for begin in (0, 2):
        with pytest.raises(OutOfStepError, match="begin"):
            ledger.commit(batch, begins={OTHER: 0, PLACE: begin}, ends={OTHER: 1, PLACE: 3})
    ledger = keeper.opened()
    assert ledger.positions() == {PLACE: 1}
    assert (ledger.row(), list(ledger.unsent(9))) == (1, [])
    assert ledger.sources(frozenset({SOURCE}))[SOURCE].seen.count == 1
    assert counted(ledger, events(2)).version == 2
    keeper.closed()


def test_partitions_move_apart_and_one_that_is_new_may_begin_anywhere(keeper: Keeper) -> None:
    ledger = keeper.opened()
    ledger.commit(Batch(), begins={PLACE: 0}, ends={PLACE: 1})
    ledger.commit(Batch(), begins={OTHER: 3}, ends={OTHER: 4})
    assert keeper.opened().positions() == {PLACE: 1, OTHER: 4}
    keeper.closed()


def test_each_commit_has_the_next_version_also_one_without_rows_or_chunk(keeper: Keeper) -> None:
    ledger = keeper.opened()
    first = counted(ledger, events(1, 2))
    moved = ledger.commit(Batch(), begins={PLACE: 2}, ends={PLACE: 7})
    tick = ledger.commit(leaving(Batch(), "a"), begins={}, ends={})
    later = counted(keeper.opened(), events(3))
    assert [each.version for each in (first, moved, tick, later)] == [1, 2, 3, 4]
    assert [each.row for each in (first, moved, tick, later)] == [2, 2, 2, 3]
    keeper.closed()


def test_rows_are_numbered_on_without_a_gap_from_commit_to_commit(keeper: Keeper) -> None:
    counted(keeper.opened(), events(1, 2))
    ledger = keeper.opened()
    counted(ledger, events(2, unnumbered=["x"]))
    counted(ledger, events(3))
    assert [(row[0], row[2]) for row in keeper.rows()] == [(1, 1), (2, 2), (3, None), (4, 3)]
    keeper.closed()


def test_unnumbered_rows_above_a_mark_are_told_and_no_others(keeper: Keeper) -> None:
    ledger = keeper.opened()
    counted(ledger, events(1, unnumbered=["x"]))
    counted(ledger, events(2, unnumbered=["y", "z"]))
    told = {mark: {tuple(each) for each in ledger.unnumbered(mark).tolist()} for mark in range(6)}
    assert [len(told[mark]) for mark in range(6)] == [3, 3, 2, 2, 1, 0]
    assert told[0] >= told[2] >= told[4]
    keeper.closed()


def test_what_leaves_is_told_in_order_with_the_same_bytes_until_it_is_said_to_be_sent(
    keeper: Keeper,
) -> None:
    ledger = keeper.opened()
    counted(ledger, events(1), outgoing=["a", "b"])
    counted(ledger, events(2), outgoing=["c"])
    told = [(1, letter("a")), (2, letter("b")), (3, letter("c"))]
    assert list(ledger.unsent(9)) == told
    assert list(ledger.unsent(2)) == told[:2]
    assert list(keeper.opened().unsent(9)) == told
    keeper.opened().sent(2)
    ledger = keeper.opened()
    assert list(ledger.unsent(9)) == told[2:]
    ledger.sent(1)
    ledger.sent(3)
    assert list(ledger.unsent(9)) == []
    counted(ledger, events(3), outgoing=["d"])
    assert list(ledger.unsent(9)) == [(4, letter("d"))]
    keeper.closed()


def dies(place: str) -> Failpoint:
    def reached(at: str) -> None:
        if at == place:
            raise DiedError(place)

    return reached


@pytest.mark.parametrize("place", PLACES)
def test_a_death_in_a_commit_leaves_all_of_it_or_nothing(keeper: Keeper, place: str) -> None:
    counted(keeper.opened(), events(1))
    with pytest.raises(DiedError):
        counted(keeper.opened(dies(place)), events(2, unnumbered=["x"]), outgoing=["a"])
    assert_whole(keeper, commits=2 if place == "ledger:committed" else 1)


def assert_whole(keeper: Keeper, *, commits: int) -> None:
    """After a first commit of one event and a second one of two and a letter."""
    ledger = keeper.opened()
    second = commits == 2
    assert ledger.positions() == {PLACE: 3 if second else 1}
    assert ledger.row() == len(keeper.rows()) == (3 if second else 1)
    assert ledger.sources(frozenset({SOURCE}))[SOURCE].seen.most == (2 if second else 1)
    assert len(ledger.unnumbered(0)) == (1 if second else 0)
    assert len(ledger.unsent(9)) == (1 if second else 0)
    assert keeper.sums()["outcome", "ok"] == (3 if second else 1)
    assert ledger.commit(Batch(), begins={}, ends={}).version == commits + 1
    keeper.closed()


def test_a_commit_that_failed_has_moved_nothing_and_may_be_tried_again(keeper: Keeper) -> None:
    counted(keeper.opened(), events(1))
    left = [DiedError("ledger:inserted")]

    def fails_once(place: str) -> None:
        if left and place == "ledger:inserted":
            raise left.pop()

    ledger = keeper.opened(fails_once)
    with pytest.raises(DiedError):
        counted(ledger, events(2, unnumbered=["x"]), outgoing=["a"])
    assert (ledger.positions(), ledger.row()) == ({PLACE: 1}, 1)
    assert ledger.sources(frozenset({SOURCE}))[SOURCE].seen.spans == ((1, 1),)
    counted(ledger, events(2, unnumbered=["x"]), outgoing=["a"])
    assert_whole(keeper, commits=2)


class PositionsApart(Swapped):
    """A ledger whose positions become durable by themselves, before the rows."""

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        self.inner.commit(Batch(), begins=begins, ends=ends)
        return self.inner.commit(batch, begins={}, ends={})


@dataclass
class Apart:
    """Keeps such a ledger."""

    inner: Keeper

    def opened(self, reached: Failpoint = nothing) -> Ledger:
        return PositionsApart(self.inner.opened(reached))

    def rows(self) -> Sequence[tuple[int, str, int | None, str]]:
        return self.inner.rows()

    def sums(self) -> Mapping[tuple[str, str], int]:
        return self.inner.sums()

    def closed(self) -> None:
        self.inner.closed()


def test_negative_control_positions_apart_from_rows_are_caught(keeper: Keeper) -> None:
    with pytest.raises(AssertionError):
        test_a_death_in_a_commit_leaves_all_of_it_or_nothing(Apart(keeper), "ledger:committed")
    keeper.closed()


chunks = st.lists(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("ab"), st.integers(1, 9)),
            st.tuples(st.just("jobs"), st.sampled_from("xyz")),
        ),
        max_size=8,
    ),
    max_size=4,
)
deaths = st.lists(st.sampled_from(["", *PLACES]), min_size=4, max_size=4)


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(given_chunks=chunks, places=deaths)
def test_any_order_repeats_batches_and_deaths_give_the_same_ledger(
    keepers: Callable[[], Keeper],
    given_chunks: list[list[tuple[str, int | str]]],
    places: list[str],
) -> None:
    keeper = keepers()
    for at, (chunk, place) in enumerate(zip(given_chunks, places, strict=False)):
        said = [event(*name) for name in chunk]
        try:
            batch_at(keeper.opened(dies(place)), said, at)
        except DiedError:
            if keeper.opened().positions().get(PLACE, 0) == at:
                batch_at(keeper.opened(), said, at)
    once = {name for chunk in given_chunks for name in chunk}
    keeper.opened()
    assert Counter((source, seq or name) for _, source, seq, name in keeper.rows()) == Counter(
        (f"edges/edge-1/{name[0]}" if isinstance(name[1], int) else "jobs", name[1])
        for name in once
    )
    tokens = sum(amount(name) for name in once)
    assert keeper.sums().get(("unit", "input_tokens"), 0) == 1_000_000 * tokens
    assert [row[0] for row in keeper.rows()] == list(range(1, len(once) + 1))
    keeper.closed()


def batch_at(ledger: Ledger, said: Sequence[Event[RequestCompleted]], at: int) -> None:
    ledger.commit(decided(ledger, said), begins={PLACE: at}, ends={PLACE: at + 1})


def event(of: str, name: int | str) -> Event[RequestCompleted]:
    usage = {"input_tokens": amount((of, name))}
    time = NOON + timedelta(minutes=amount((of, name)))
    if isinstance(name, int):
        return request(f"edges/edge-1/{of}", name, usage=usage, time=time)
    return request("jobs", None, event_id=name, usage=usage, time=time)


def amount(name: tuple[str, int | str]) -> int:
    return name[1] if isinstance(name[1], int) else 100
