"""Events without numbers through the whole of stats: a retry counts once, and never not at all."""

from pathlib import Path

import pytest

from midstage.eventlog.codec import message
from midstage.eventlog.consume import Whole
from midstage.eventlog.log import Message
from midstage.stats.adapters.seen import HashFiles
from midstage.stats.stream.counting import Counting
from midstage.stats.stream.reading import arrivals
from midstage.stats.views.rows import RowsQuery
from tests.crash.wrong import ClaimedFirst

from .asking import total
from .conftest import NOON, Bench, request
from .memory import MemoryLedger

PLACES = ("consume:decoded", "ledger:inserted", "ledger:committed")


class CrashError(Exception):
    """The process dies here."""


def stray(bench: Bench, name: str) -> Message:
    event = request("jobs", None, event_id=name)
    return message(event, topic=bench.topics.requests.name, key="jobs")


def ids(bench: Bench) -> list[str]:
    books = bench.caught_up().ledger.queries()
    return sorted(row.id for row in books.rows(RowsQuery(limit=1000)).requests)


def dies_at(bench: Bench, place: str) -> None:
    left = [place]

    def reached(where: str) -> None:
        if where in left:
            left.clear()
            raise CrashError(where)

    bench.reached = reached


def test_a_duplicate_is_never_visible_although_nothing_was_merged(bench: Bench) -> None:
    """Asked after each commit: with and without a number, in one chunk and in later ones."""
    found = list[tuple[int, int, int]]()

    def reached(place: str) -> None:
        if place == "ledger:committed":
            books = bench.started[-1].ledger.queries()
            rows = len(books.rows(RowsQuery(limit=1000)).requests)
            found.append((rows, total(books).outcomes["ok"], books.recorded(since=NOON).rows))

    bench.reached = reached
    for _ in range(3):
        bench.write(stray(bench, "a"), stray(bench, "a"), bench.edge().line(1))
        bench.write(stray(bench, "a"), bench.edge().line(1))
        assert ids(bench) == ["a", "edges/edge-1/a/1"]
    assert {numbers for numbers in found if numbers != (1, 1, 1)} == {(2, 2, 2)}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_retry_after_a_crash_counts_once(bench: Bench, place: str) -> None:
    bench.write(*(stray(bench, name) for name in "abc"))
    dies_at(bench, place)
    with pytest.raises(CrashError):
        bench.caught_up()
    bench.write(*(stray(bench, name) for name in "cba"))
    assert ids(bench) == ["a", "b", "c"]
    bench.write(stray(bench, "b"), stray(bench, "d"))
    assert ids(bench) == ["a", "b", "c", "d"]


def test_files_say_nothing_of_a_commit_that_they_have_not_heard_of(tmp_path: Path) -> None:
    """Each event is a file at once, which covers the row of its commit and none behind it."""
    ledger = MemoryLedger()
    seen = HashFiles(tmp_path, last_row=0, now=lambda: NOON, seal_at=1)
    counting = Counting(ledger=ledger, seen=seen, counted=())
    for row, name in enumerate("abc", 1):
        counting(
            Whole(content=arrivals([request("jobs", None, event_id=name)]), begins={}, ends={})
        )
        assert (ledger.row(), seen.mark()) == (row, row)
    seen.close()


@pytest.mark.parametrize("place", ["seen:drafted", "seen:sealed"])
def test_a_death_while_a_file_is_made_forgets_nothing(bench: Bench, place: str) -> None:
    bench.seen_in_memory = 2
    bench.write(*(stray(bench, name) for name in "abc"))
    dies_at(bench, place)
    with pytest.raises(CrashError):
        bench.caught_up()
    bench.write(*(stray(bench, name) for name in "abcd"))
    assert ids(bench) == ["a", "b", "c", "d"]


def test_without_its_folder_everything_is_read_from_the_ledger_again(bench: Bench) -> None:
    bench.seen_in_memory = 2
    bench.write(*(stray(bench, name) for name in "abc"))
    assert ids(bench) == ["a", "b", "c"]
    bench.stop()
    (folder,) = bench.directory.glob("*.seen")
    for file in folder.iterdir():
        file.unlink()
    bench.write(*(stray(bench, name) for name in "abcd"))
    assert ids(bench) == ["a", "b", "c", "d"]


def test_negative_control_hashes_claimed_before_rows_lose_what_the_retry_brings(
    bench: Bench,
) -> None:
    bench.seen_swapped = lambda right: ClaimedFirst(right, bench.directory / "claimed")
    bench.write(*(stray(bench, name) for name in "abc"))
    dies_at(bench, "ledger:inserted")
    with pytest.raises(CrashError):
        bench.caught_up()
    bench.write(*(stray(bench, name) for name in "abc"))
    assert ids(bench) == []
