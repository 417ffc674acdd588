"""Which events without numbers counted already: files of hashes that never say what is not so."""

from pathlib import Path

import numpy as np
import pytest

from midstage.contracts.errors import UnavailableError
from midstage.stats.adapters.seen import hashes as columns
from midstage.stats.adapters.seen import merging, sieve
from midstage.stats.adapters.seen.merging import MOST_DAYS
from midstage.stats.adapters.seen.sealed import SealedFile

from .seen import Damage, DeadError, Shelf, emptied, half, hashes, its_header, one_bit

PLACES = ("seen:drafted", "seen:sealed", "seen:merged")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(folder=tmp_path / "seen")


def committed(shelf: Shelf, commits: int, *, each: int = 8) -> list[int]:
    """So many commits of ``each`` events; the names of all."""
    for commit in range(commits):
        shelf.commit(range(commit * each, (commit + 1) * each))
    return list(range(commits * each))


def test_what_was_absorbed_is_known_and_a_stranger_is_not(shelf: Shelf) -> None:
    shelf.commit([1, 2, 3])
    assert shelf.known([3, 4, 1]) == [True, False, True]
    assert shelf.known([]) == []


def test_a_restart_knows_what_is_in_files_and_reads_the_rest_from_the_ledger(shelf: Shelf) -> None:
    names = committed(shelf, 3, each=5)  # two of them are sealed at once, the third is not
    assert 0 < shelf.seen.mark() < len(shelf.rows)
    shelf.start()
    assert shelf.known([*names, 99]) == [True] * 15 + [False]


def test_files_hold_what_they_hold_without_the_ledger(shelf: Shelf) -> None:
    names = committed(shelf, 1)
    shelf.rows = [hashes([])]
    shelf.start()
    assert all(shelf.known(names))


@pytest.mark.slow
def test_small_files_become_one_and_nothing_is_forgotten(shelf: Shelf) -> None:
    names = committed(shelf, 60)
    assert len(shelf.files()) < 20
    assert all(shelf.known(names))
    assert not any(shelf.known(range(1000, 3000)))
    shelf.start()
    assert all(shelf.known(names))


def test_a_file_says_which_rows_it_covers_and_when_it_may_go(shelf: Shelf) -> None:
    committed(shelf, 2)
    assert [file.name for file in shelf.files()] == [
        "00000000000000000000-00000000000000000001-20260206.seen",
        "00000000000000000001-00000000000000000002-20260206.seen",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_death_at_any_place_forgets_nothing_and_invents_nothing(shelf: Shelf, place: str) -> None:
    names: list[int] = []
    deaths = 0
    for commit in range(40):
        added = range(commit * 8, commit * 8 + 8)
        deaths += shelf.commit_and_die(added, place)
        names.extend(added)
        assert all(shelf.known(names))
        assert not any(shelf.known(range(1000, 1100)))
    assert deaths
    shelf.seen.close()
    assert not list(shelf.folder.glob("*.draft"))


@pytest.mark.parametrize("damage", [half, one_bit, its_header, emptied, Path.unlink])
@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_damaged_file_is_made_anew_from_the_ledger(
    shelf: Shelf, damage: Damage, which: int
) -> None:
    names = committed(shelf, 4)
    shelf.seen.close()
    damage(shelf.files()[which])
    shelf.start()
    assert all(shelf.known(names))
    assert not any(shelf.known(range(1000, 1100)))
    assert shelf.seen.mark() == 4


def test_a_damaged_file_whose_rows_have_left_the_ledger_is_refused_with_the_remedy(
    shelf: Shelf,
) -> None:
    names = committed(shelf, 4)
    shelf.seen.close()
    victim = shelf.files()[1]
    intact = victim.read_bytes()
    shelf.left_upto = 3
    one_bit(victim)

    with pytest.raises(UnavailableError, match=f"rows 2 to 3.*{victim.name}.*put the folder back"):
        shelf.start()

    victim.write_bytes(intact)  # as the remedy says
    shelf.start()
    assert all(shelf.known(names))


def test_who_accepts_the_loss_says_so_and_goes_on(shelf: Shelf) -> None:
    committed(shelf, 4)
    shelf.seen.close()
    one_bit(shelf.files()[1])
    shelf.left_upto = 3
    (shelf.folder / f"{3:020d}.dropped").touch()
    shelf.start()
    assert all(shelf.known(range(24, 32)))


def test_files_ahead_of_the_ledger_are_of_another_one_and_go(shelf: Shelf) -> None:
    committed(shelf, 4)
    shelf.seen.close()
    shelf.rows = shelf.rows[:2]  # an older copy of the ledger was put back
    shelf.start()
    assert all(shelf.known(range(16)))
    assert not any(shelf.known(range(16, 32)))


@pytest.mark.slow
def test_hashes_are_kept_for_35_days_and_then_go_with_their_file(shelf: Shelf) -> None:
    names = committed(shelf, 3)
    for day in range(46):
        shelf.days_later(1)
        for _ in range(4):
            shelf.commit([])
        assert day >= 35 or all(shelf.known(names))
    assert not any(shelf.known(names))
    assert len(shelf.files()) < 20
    shelf.rows = [hashes([]) for _ in shelf.rows]
    shelf.left_upto = 3  # nobody misses rows of hashes that may be forgotten
    shelf.start()
    assert shelf.seen.mark() > 3


def test_what_comes_after_days_of_silence_is_kept_for_35_days_too(shelf: Shelf) -> None:
    shelf.commit([1])
    shelf.days_later(5)
    shelf.commit([2])
    for _ in range(35):
        shelf.days_later(1)
        shelf.commit([])
    shelf.start()
    assert shelf.known([2]) == [True]


def test_a_merged_file_counts_although_the_first_that_it_replaces_may_go(shelf: Shelf) -> None:
    """It dies while it removes those: what is left of them is not the row from the mark on."""
    for day in range(5):
        shelf.days_later(int(day > 0))
        shelf.commit(range(8 * day, 8 * day + 8))
    originals = shelf.files()
    shelf.dies_at = "seen:merged"
    with pytest.raises(DeadError):
        committed(shelf, 3, each=0)
    shelf.dies_at = ""
    assert len(shelf.files()) > len(originals)
    for file in originals[2:]:
        file.unlink()
    shelf.days_later(32)
    shelf.left_upto = 5
    shelf.start()
    assert all(shelf.known(range(8, 40)))


def test_files_of_many_days_are_not_merged_or_they_would_all_stay_with_the_last(
    shelf: Shelf,
) -> None:
    for day in range(34):
        shelf.commit(range(8 * day, 8 * day + 8))
        committed(shelf, 2, each=0)  # each does a slice of what is due
        shelf.days_later(1)
    files = [SealedFile(path) for path in shelf.files()]
    assert len(files) < 34
    assert max((one.covers.until - one.covers.since).days for one in files) <= MOST_DAYS
    for one in files:
        one.close()


def test_a_merge_ends_when_the_files_that_it_reads_may_go(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "_SLICE", 4)  # of the 40 hashes at once
    names = committed(shelf, 5)
    shelf.days_later(40)
    committed(shelf, 20, each=0)
    assert not any(shelf.known(names))
    assert [path.suffix for path in shelf.folder.iterdir() if path.suffix == ".draft"] == []


def test_the_mark_moves_each_day_also_where_every_event_has_a_number(shelf: Shelf) -> None:
    shelf.commit([])
    assert shelf.seen.mark() == 0
    shelf.days_later(1)
    shelf.commit([])
    assert shelf.seen.mark() == 2


def test_equal_upper_halves_are_told_apart_by_the_lower_ones() -> None:
    held = np.array([[1, 5], [7, 3], [7, 1], [7, 2], [9, 9]], np.uint64)
    asked = np.array([[7, 2], [7, 4], [7, 3], [1, 5], [2, 5]], np.uint64)
    assert columns.among(held, asked).tolist() == [True, False, True, True, False]


def test_a_sieve_lets_everything_through_that_is_there_and_few_strangers() -> None:
    held = columns.in_order(hashes(range(5000)))
    words = np.zeros(sieve.words_for(5000), np.uint64)
    sieve.put_in(words, held[:2000])
    sieve.put_in(words, held[2000:])
    strangers = hashes(range(10_000, 20_000))
    assert sieve.let_through(words, held, sieve.masks(held)).all()
    assert sieve.let_through(words, strangers, sieve.masks(strangers)).mean() < 0.03


def test_the_files_are_small(tmp_path: Path) -> None:
    shelf = Shelf(folder=tmp_path, seal_at=50_000)
    shelf.commit(range(50_000))
    (file,) = shelf.files()
    assert file.stat().st_size / 50_000 < 18


def test_a_hash_that_was_sealed_before_its_row_was_committed_does_not_count(shelf: Shelf) -> None:
    shelf.commit(range(7))
    shelf.seen.absorb(hashes([7]), row=2)  # and the commit of row 2 never happens
    assert shelf.seen.mark() == 2
    shelf.start()
    assert shelf.known([7]) == [False]
