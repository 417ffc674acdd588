"""Which files count at the start: an unbroken row of whole ones, none ahead of the ledger.

What is damaged, of another ledger or behind a gap goes, and its rows are read from the ledger
again, or from its archive. Where neither can give them nothing is removed and the remedy is named:
to forget what was seen in silence would let a repeated event count twice.
"""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError
from midstage.stats.adapters.seen.layout import (
    DRAFT,
    Covers,
    DamagedError,
    ForeignError,
    named,
    synced,
)
from midstage.stats.adapters.seen.sealed import SealedFile

_DROPPED = ".dropped"

_log = logger(__name__)


def recovered(
    folder: Path,
    *,
    ledger: str,
    last_row: int,
    left_upto: int,
    lacking: Callable[[int], Sequence[str]],
    today: date,
) -> list[SealedFile]:
    """The files that count, by rows; the folder is made where it is missing.

    ``last_row`` is the ledger's, ``left_upto`` the highest row whose event it can't give any more,
    0 where it has all; ``lacking`` names what of the archive would be needed to read the rows above
    a mark and is not whole. Raises UnavailableError where what is missing can't be read again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _forget_marks_ahead(folder, last_row)
    whole, damaged = _opened(folder, ledger, last_row)
    begin = _expired_upto(folder, whole, damaged, ledger=ledger, today=today)
    row = _row(whole, begin=begin)
    mark = row[-1].covers.upto if row else begin
    if mark < left_upto and (archives := lacking(mark)):
        _refuse(folder, mark, left_upto, [*(path.name for path, _ in damaged), *archives])
    _say_dropped(folder, begin, ledger)
    for path, error in damaged:
        _log.error("seen_file_damaged", file=path.name, reason=str(error))
        path.unlink()
    for file in whole:
        if file not in row:
            file.remove()
    for draft in folder.glob(f"*{DRAFT}"):
        draft.unlink()
    synced(folder)
    return row


def drop_old(
    folder: Path, files: Sequence[SealedFile], *, ledger: str, today: date
) -> list[SealedFile]:
    """The files without those at the beginning whose day has come; these are removed."""
    kept = list(files)
    while kept and kept[0].covers.gone_on <= today:
        _say_dropped(folder, kept[0].covers.upto, ledger)
        kept.pop(0).remove()
    return kept


def floor(folder: Path, ledger: str) -> int:
    """The row up to which files of this ledger were dropped, their day come; 0: none was."""
    return max((row for row, mark in _marks(folder) if mark.read_text() in ("", ledger)), default=0)


def _expired_upto(
    folder: Path,
    whole: Sequence[SealedFile],
    damaged: Sequence[tuple[Path, DamagedError]],
    *,
    ledger: str,
    today: date,
) -> int:
    """The row up to which nobody asks any more, by the names: these files need not be whole."""
    ours = [path for path, error in damaged if not isinstance(error, ForeignError)]
    found = [*(file.covers for file in whole), *filter(None, map(named, ours))]
    return max([floor(folder, ledger), *(one.upto for one in found if one.gone_on <= today)])


def _say_dropped(folder: Path, row: int, ledger: str) -> None:
    if row == floor(folder, ledger):
        return
    (folder / f"{row:020d}{_DROPPED}").write_text(ledger)
    synced(folder)
    for before, mark in _marks(folder):
        if before < row:
            mark.unlink()


def _marks(folder: Path) -> list[tuple[int, Path]]:
    """By row: up to there files were dropped, or somebody accepts that they are lost."""
    return [(int(mark.stem), mark) for mark in folder.glob(f"*{_DROPPED}")]


def _forget_marks_ahead(folder: Path, last_row: int) -> None:
    """A mark above the last row was made for a ledger that is gone; this one will get there."""
    for row, mark in _marks(folder):
        if row > last_row:
            mark.unlink()


def _opened(
    folder: Path, ledger: str, last_row: int
) -> tuple[list[SealedFile], list[tuple[Path, DamagedError]]]:
    whole: list[SealedFile] = []
    damaged: list[tuple[Path, DamagedError]] = []
    for path in sorted(folder.iterdir()):
        covers = named(path)
        if covers is None:
            continue
        try:
            whole.append(_checked(path, covers, ledger, last_row))
        except DamagedError as error:
            damaged.append((path, error))
    return whole, damaged


def _checked(path: Path, covers: Covers, ledger: str, last_row: int) -> SealedFile:
    if covers.upto > last_row:
        raise ForeignError(f"it is ahead of the ledger, which ends at row {last_row}")
    file = SealedFile(path)
    if file.ledger in ("", ledger):
        return file
    file.close()
    raise ForeignError("it is of another ledger")


def _row(whole: Sequence[SealedFile], *, begin: int) -> list[SealedFile]:
    """From ``begin`` on without a gap; of two the one that covers more."""
    row: list[SealedFile] = []
    mark = begin
    while following := [one for one in whole if one.covers.after <= mark < one.covers.upto]:
        row.append(max(following, key=lambda file: file.covers.upto))
        mark = row[-1].covers.upto
    return row


def _refuse(folder: Path, mark: int, left_upto: int, damaged: Sequence[str]) -> None:
    raise UnavailableError(
        f"{folder} does not say which events of the rows {mark + 1} to {left_upto} counted, the "
        f"ledger has let go of these rows, and its archive does not have them all "
        f"({', '.join(damaged)} damaged or missing); put the folder back from a copy that is not "
        f"older than the ledger's, or the archive's files, or accept that such events count again "
        f"if they are sent again: make the empty file {folder / f'{left_upto:020d}{_DROPPED}'}"
    )
