"""``midstage get dead-letters|dead-letter``: what could not be read or made an event, and why.

What they hold may have been written by anybody: control characters are shown, never obeyed, and
as it is it goes only into a file or a pipe.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from midstage.client import api, times
from midstage.client.files import put
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.show import Output, OutputOption, cell, printable, show
from midstage.contracts.errors import RefusedError

PATH = "/v1/dead-letters"
COLUMNS = ("at", "reason", "source", "customer", "app", "event_id", "bytes", "id")
_PAGE = 1_000
LETTER = "midstage.requests.v1.stats.dlq/0/17"


class Whole(StrEnum):
    """The form of all that is known of one."""

    JSON = "json"
    YAML = "yaml"


class _Held(msgspec.Struct):
    topic: str
    refuser: str
    dead_letters: int


class _Page(msgspec.Struct):
    dead_letters: list[msgspec.Raw]
    held: list[_Held]
    looked_at: int
    next: str | None = None


class _About(msgspec.Struct):
    reason: str
    refuser: str
    cut: bool
    bytes: int


class _Letter(msgspec.Struct):
    dead_letter: _About
    content: bytes | None


def register_get(group: typer.Typer) -> None:
    """Add the commands to ``midstage get``."""
    group.command("dead-letters")(dead_letters)
    group.command("dead-letter")(dead_letter)


def dead_letters(
    *,
    topic: Annotated[
        str | None, typer.Option(help="Only of this topic, like midstage.requests.v1.")
    ] = None,
    refuser: Annotated[
        str | None, typer.Option(help="Only what this service refused: stats, data, gateway.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    customer: Annotated[
        str | None, typer.Option(help="Only where this customer can be read in it.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only with this in the reason.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="Refused from then on: RFC 3339, or before now like -1h, -7d."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many at most.")] = 100,
    before: Annotated[
        str | None, typer.Option(help="Go on behind what was shown, as it said on stderr.")
    ] = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print what could not be read or must not count: when, why, and what it says of itself.

    The newest first. How many each topic holds stands on stderr.
    """
    now = datetime.now(UTC)
    query = {
        "topic": topic,
        "refuser": refuser,
        "source": source,
        "customer": customer,
        "reason": reason,
        "from": since and times.rfc3339(times.parsed("--from", since, now=now)),
    }
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    asked = [(name, text) for name, text in query.items() if text is not None]
    found = _together(stats, asked, before=before, limit=limit)
    shown = show(msgspec.json.encode(found), rows="dead_letters", columns=COLUMNS, output=output)
    typer.echo(shown or "nothing found", err=not shown)
    held = [f"{one.dead_letters} of {one.topic} by {one.refuser}" for one in found.held]
    typer.echo(cell(f"held: {', '.join(held)}; looked at {found.looked_at}"), err=True)
    if found.next is not None:
        typer.echo(cell(f"there are more; go on with --before {found.next}"), err=True)


def dead_letter(
    letter: Annotated[str, typer.Argument(metavar="ID", help=f"Its id, like {LETTER}.")],
    *,
    file: Annotated[
        Path | None, typer.Option("-f", "--file", help="Write what it holds into this file.")
    ] = None,
    output: Annotated[
        Whole | None,
        typer.Option("-o", "--output", help="Print all that is known of it, with its headers."),
    ] = None,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print what a dead letter holds, byte by byte as it was sent; on stderr why it was refused."""
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    answer = stats.fetched(f"{PATH}/{_path(letter)}", ())
    if output is not None:
        typer.echo(show(answer, rows="headers", columns=(), output=Output(output.value)))
        return
    found = api.read(answer, _Letter, whose="stats's")
    about, content = found.dead_letter, found.content or b""
    typer.echo(f"refused by {cell(about.refuser)}: {cell(about.reason)}", err=True)
    if about.cut:
        typer.echo(f"cut: these are the first {len(content)} of {about.bytes} bytes", err=True)
    if file is None and _is_terminal():
        typer.echo(_visible(content))
    else:
        put(content, file)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _together(
    stats: api.Service, query: Sequence[tuple[str, str]], *, before: str | None, limit: int
) -> _Page:
    """So many of them, put together from pages, each of which is bounded."""
    rows: list[msgspec.Raw] = []
    looked_at = 0
    while True:
        asked = [*query, ("limit", str(min(_PAGE, limit - len(rows))))]
        if before is not None:
            asked.append(("before", before))
        page = api.read(stats.fetched(PATH, asked), _Page, whose="stats's")
        rows += page.dead_letters
        looked_at += page.looked_at
        before = page.next
        if before is None or len(rows) >= limit:
            return _Page(dead_letters=rows, held=page.held, looked_at=looked_at, next=before)


def _path(letter: str) -> str:
    """An id as a path; RefusedError where it can't be one."""
    parts = letter.split("/")
    if len(parts) != len(LETTER.split("/")) or not all(parts):
        raise RefusedError(f"{letter!r} is no id of a dead letter, like {LETTER}")
    return "/".join(quote(part, safe="") for part in parts)


def _visible(content: bytes) -> str:
    """For a terminal: lines stay lines, whatever else can't be printed is an escape."""
    lines = content.decode(errors="backslashreplace").split("\n")
    return "\n".join(printable(line) for line in lines)
