"""``midstage close period``, ``midstage get periods`` and ``midstage get statement``.

Closing again answers what stands; so what was cut off on the way is just run again.
"""

import uuid
from enum import StrEnum
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from midstage.client import api, groups
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.show import Output, OutputOption, show

COLUMNS = ("period", "since", "until", "zone", "sha256", "size", "gaps", "by", "why", "at")
Period = Annotated[str, typer.Argument(metavar="PERIOD", help="Its name, as 2026-11.")]


class Form(StrEnum):
    """How a statement is printed."""

    JSON = "json"
    CSV = "csv"


class _Closed(msgspec.Struct):
    sha256: str
    gaps: list[msgspec.Raw]


def register(app: typer.Typer) -> None:
    """Add ``close`` to ``app``."""
    groups.named(app, "close", about="Close a period for billing.").command("period")(close)


def register_get(group: typer.Typer) -> None:
    """Add the commands to ``midstage get``."""
    group.command("periods")(periods)
    group.command("statement")(statement)


def close(
    period: Period,
    *,
    since: Annotated[
        str | None, typer.Option("--from", help="A date of the zone; none: the month it names.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="The date after its last day.")] = None,
    zone: Annotated[str, typer.Option(help="Whose days these are, as Europe/Berlin.")] = "UTC",
    accept_gaps: Annotated[
        bool, typer.Option("--accept-gaps", help="Close it although something is missing.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who accepts the gaps.")] = "",
    why: Annotated[str, typer.Option(help="Why they are accepted.")] = "",
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Close a period: its statement stands from then on, and can be made again from its rows."""
    body = {"from": since, "to": until, "zone": zone, "accept_gaps": accept_gaps}
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    answer = stats.change(
        "POST",
        f"/v1/periods/{quote(period, safe='')}/close",
        command_id=uuid.uuid4().hex,
        body={**body, "by": by, "why": why},
    )
    closed = api.read(answer, _Closed, whose="stats'")
    over = f", over {len(closed.gaps)} gaps" if closed.gaps else ""
    typer.echo(f"period {period} closed{over}; its statement has SHA-256 {closed.sha256}")


def periods(
    *,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print the closed periods."""
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    found = show(stats.told("/v1/periods", {}), rows="periods", columns=COLUMNS, output=output)
    typer.echo(found or "nothing found", err=not found)


def statement(
    period: Period,
    *,
    form: Annotated[Form, typer.Option("-o", "--output", help="In which form.")] = Form.CSV,
    from_rows: Annotated[
        bool, typer.Option("--from-rows", help="Make it again from every raw row.")
    ] = False,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print a closed period's statement: the bytes that its hash is of (json), or a table (csv)."""
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    asked = [("form", form.value), ("from_rows", str(from_rows).lower())]
    path = f"/v1/periods/{quote(period, safe='')}/statement"
    typer.echo(stats.fetched(path, asked, accept="*/*"), nl=False)
