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
from midstage.stats.adapters.seen.layout import DRAFT, Covers, DamagedError, named, synced
from midstage.stats.adapters.seen.sealed import SealedFile

_DROPPED = ".dropped"

_log = logger(__name__)


def recovered(
    folder: Path,
    *,
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
    whole, damaged = _opened(folder, last_row)
    begin = _expired_upto(folder, today)
    row = _row(whole, begin=begin)
    mark = row[-1].covers.upto if row else begin
    if mark < left_upto and (archives := lacking(mark)):
        _refuse(folder, mark, left_upto, [*(path.name for path, _ in damaged), *archives])
    _say_dropped(folder, begin)
    for path, reason in damaged:
        _log.error("seen_file_damaged", file=path.name, reason=reason)
        path.unlink()
    for file in whole:
        if file not in row:
            file.remove()
    for draft in folder.glob(f"*{DRAFT}"):
        draft.unlink()
    synced(folder)
    return row


def drop_old(folder: Path, files: Sequence[SealedFile], *, today: date) -> list[SealedFile]:
    """The files without those at the beginning whose day has come; these are removed."""
    kept = list(files)
    while kept and kept[0].covers.gone_on <= today:
        _say_dropped(folder, kept[0].covers.upto)
        kept.pop(0).remove()
    return kept


def floor(folder: Path) -> int:
    """The row up to which files were dropped because their day had come, 0 where none was."""
    return max((int(mark.stem) for mark in folder.glob(f"*{_DROPPED}")), default=0)


def _expired_upto(folder: Path, today: date) -> int:
    """The row up to which nobody asks any more, by the names: these files need not be whole."""
    found = [covers for path in folder.iterdir() if (covers := named(path)) is not None]
    return max([floor(folder), *(one.upto for one in found if one.gone_on <= today)])


def _say_dropped(folder: Path, row: int) -> None:
    if row == floor(folder):
        return
    (folder / f"{row:020d}{_DROPPED}").touch()
    synced(folder)
    for mark in folder.glob(f"*{_DROPPED}"):
        if int(mark.stem) < row:
            mark.unlink()


def _opened(folder: Path, last_row: int) -> tuple[list[SealedFile], list[tuple[Path, str]]]:
    whole: list[SealedFile] = []
    damaged: list[tuple[Path, str]] = []
    for path in sorted(folder.iterdir()):
        covers = named(path)
        if covers is None:
            continue
        try:
            whole.append(_checked(path, covers, last_row))
        except DamagedError as error:
            damaged.append((path, str(error)))
    return whole, damaged


def _checked(path: Path, covers: Covers, last_row: int) -> SealedFile:
    if covers.upto > last_row:
        raise DamagedError(f"it is ahead of the ledger, which ends at row {last_row}")
    return SealedFile(path)


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
