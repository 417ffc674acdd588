"""A folder that another ledger left behind: what it says of rows and days is said of others."""

import shutil
from pathlib import Path

from .seen import Shelf, half, hashes


def begun_anew(shelf: Shelf) -> None:
    """The ledger is gone, and another one begins beside what it left."""
    shelf.seen.close()
    shelf.ledger, shelf.rows = "new", []
    shelf.start()


def test_files_of_another_shard_are_not_taken_for_ones_own(tmp_path: Path) -> None:
    """Put back from a copy, into the folder of another shard: as long, and as whole."""
    one, other = (Shelf(folder=tmp_path / name, ledger=name) for name in ("one", "other"))
    for row in range(3):
        one.commit(range(row * 8, row * 8 + 8))
        other.commit(range(100 + row * 8, 108 + row * 8))
    one.seen.close()
    shutil.rmtree(one.folder)
    shutil.copytree(other.folder, one.folder)
    one.start()
    assert all(one.known(range(24)))
    assert not any(one.known(range(100, 124)))


def test_what_was_merged_is_still_known_as_ones_own(tmp_path: Path) -> None:
    shelf = Shelf(folder=tmp_path / "seen", ledger="one")
    for row in range(40):
        shelf.commit(range(row * 8, row * 8 + 8))
    assert len(shelf.files()) < 20
    shelf.rows = [hashes([]) for _ in shelf.rows]  # nothing can be read from the ledger again
    shelf.start()
    assert all(shelf.known(range(320)))


def test_files_of_before_have_no_name_and_count(tmp_path: Path) -> None:
    shelf = Shelf(folder=tmp_path / "seen")
    shelf.commit(range(8))
    shelf.ledger, shelf.rows = "one", [hashes([])]
    shelf.start()
    assert all(shelf.known(range(8)))


def test_old_files_of_a_ledger_that_is_gone_hide_no_row_of_the_next_one(tmp_path: Path) -> None:
    """By their names they may go; up to which row, is said of the rows of that ledger."""
    shelf = Shelf(folder=tmp_path / "seen", ledger="old")
    for row in range(3):
        shelf.commit(range(row * 8, row * 8 + 8))
    half(shelf.files()[2])
    shelf.days_later(40)
    begun_anew(shelf)
    shelf.commit([100, 101])
    shelf.seen.close()
    shelf.start()
    assert shelf.known([100, 101]) == [True, True]


def test_what_another_ledger_dropped_hides_no_row_of_the_next_one(tmp_path: Path) -> None:
    shelf = Shelf(folder=tmp_path / "seen", ledger="old")
    for row in range(3):
        shelf.commit(range(row * 8, row * 8 + 8))
    for _ in range(40):
        shelf.days_later(1)
        shelf.commit([])
    assert list(shelf.folder.glob("*.dropped"))
    begun_anew(shelf)
    for row in range(60):  # it gets to where the other one was, and beyond
        shelf.commit([1000 + row])
    shelf.seen.close()
    shelf.start()
    assert all(shelf.known(range(1000, 1060)))


def test_a_mark_of_nobody_that_lies_ahead_hides_no_row_that_comes(tmp_path: Path) -> None:
    """As earlier versions made them, and as one makes them to accept a loss."""
    shelf = Shelf(folder=tmp_path / "seen", ledger="old")
    (shelf.folder / f"{5:020d}.dropped").touch()
    begun_anew(shelf)
    for row in range(8):
        shelf.commit([1000 + row])
    shelf.seen.close()
    shelf.start()
    assert all(shelf.known(range(1000, 1008)))
