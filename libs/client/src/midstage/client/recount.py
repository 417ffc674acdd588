"""``midstage stats recount``: every raw row counted again, and compared with the ledger.

Day by day, so that it can be stopped and begun again anywhere. Exit code 1 where they differ.
"""

import uuid
from datetime import UTC, date, datetime
from typing import Annotated

import msgspec
import typer

from midstage.client import api, groups, times
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.contracts.errors import RefusedError

_FIRST = "0001-01-01"
_SHOWN = 20


class _Difference(msgspec.Struct):
    table: str
    at: datetime | None
    cell: list[str]
    rows_say: str
    ledger_says: str


class _Recounted(msgspec.Struct):
    rows: int
    differences: int
    first: list[_Difference]
    day: date | None = None
    cells: int = 0
    next: date | None = None


def register(app: typer.Typer) -> None:
    """Add ``stats recount`` to ``app``."""
    groups.named(app, "stats", about="Look after the ledger.").command("recount")(recount)


def recount(
    *,
    since: Annotated[
        str | None, typer.Option("--from", help="From this day of UTC on, as 2026-11-01 or -7d.")
    ] = None,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Count every raw row again and name where the ledger says something else."""
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    after: str | None = _FIRST if since is None else _day(since)
    days, rows, cells, differences = 0, 0, 0, 0
    while after is not None:
        one = _asked(stats, f"/v1/recount/day?after={after}")
        if one.day is not None:
            days, rows, cells = days + 1, rows + one.rows, cells + one.cells
        differences += _told(one, already=differences)
        after = None if one.next is None else one.next.isoformat()
    differences += _told(_asked(stats, "/v1/recount/whole"), already=differences)
    counted = f"{rows} rows of {days} days in {cells} cells counted again"
    if differences:
        raise RefusedError(f"{counted}: {differences} differ from the ledger")
    typer.echo(f"{counted}: the ledger says the same")


def _asked(stats: api.Service, path: str) -> _Recounted:
    answer = stats.change("POST", path, command_id=uuid.uuid4().hex)
    return api.read(answer, _Recounted, whose="stats'")


def _told(one: _Recounted, *, already: int) -> int:
    for found in one.first[: max(0, _SHOWN - already)]:
        place = " ".join(["" if found.at is None else times.rfc3339(found.at), *found.cell]).strip()
        typer.echo(f"{found.table} {place}: rows say {found.rows_say}, not {found.ledger_says}")
    return one.differences


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        now = datetime.now(UTC)
        return times.parsed("--from", text, now=now).date().isoformat()
