"""Records and availability: ``get records|availability``, ``download records``.

Times told relative to now are resolved once, when a command begins.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from midstage.client import api, downloads, times
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.show import Output, OutputOption, show
from midstage.client.telling import Teller
from midstage.contracts.requests import Outcome

RECORDS = (
    *("time", "app", "customer", "status", "outcome", "duration_ms", "ttft_ms"),
    *("usage.*", "revision", "pod", "ref"),
)

App = Annotated[str | None, typer.Option(help="Only this application.")]
Customer = Annotated[str | None, typer.Option(help="Only this customer.")]
OneOutcome = Annotated[Outcome | None, typer.Option(help="Only with this outcome.")]
Status = Annotated[int | None, typer.Option(min=0, max=999, help="Only with this HTTP status.")]
Pod = Annotated[str | None, typer.Option(help="Only answered by this pod.")]
Revision = Annotated[str | None, typer.Option(help="Only of this revision.")]
Ref = Annotated[str | None, typer.Option(help="Only with this number of the caller's own.")]
From = Annotated[
    str | None,
    typer.Option("--from", help="Ended from then on: RFC 3339, or before now like -1h, -7d."),
]
To = Annotated[str | None, typer.Option("--to", help="Ended before then.")]


class Format(StrEnum):
    """The form of a downloaded file."""

    JSONL = "jsonl"
    PARQUET = "parquet"


class _Page(msgspec.Struct):
    next: str | None = None


AVAILABILITY = (
    *("app", "minute", "hour", "good", "valid", "availability", "target"),
    *("budget.allowed_errors", "budget.errors", "budget.left", "budget.left_share"),
    "budget.exhausted",
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Bring data of the platform into a file."
    )
    group.command("records")(download)
    app.add_typer(group, name="download")


def register_get(group: typer.Typer) -> None:
    """Add to ``midstage get``."""
    group.command("records")(records)
    group.command("availability")(availability)


def records(
    *,
    app: App = None,
    customer: Customer = None,
    outcome: OneOutcome = None,
    status: Status = None,
    pod: Pod = None,
    revision: Revision = None,
    ref: Ref = None,
    since: From = None,
    until: To = None,
    newest: Annotated[bool, typer.Option("--newest", help="The newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many at most.")] = 100,
    after: Annotated[
        str | None, typer.Option(help="Go on behind a page, as it said on stderr.")
    ] = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print request records, page by page."""
    filters = _filters(
        app=app, customer=customer, outcome=outcome, status=status, pod=pod,
        revision=revision, ref=ref, since=since, until=until,
    )  # fmt: skip
    query = {
        **{name: str(value) for name, value in filters.items()},
        "order": "newest" if newest else "oldest",
        "limit": str(limit),
        "after": after,
    }
    data = api.service("data", directory=directory, server=server, token_file=token_file)
    answer = data.told("/v1/records", query)
    found = show(answer, rows="records", columns=RECORDS, output=output)
    typer.echo(found or "nothing found", err=not found)
    following = msgspec.json.decode(answer, type=_Page).next
    if following is not None:
        typer.echo(f"there are more; go on with --after {following}", err=True)


def download(
    *,
    out: Annotated[Path, typer.Option(help="The file to write; it must not be there yet.")],
    form: Annotated[Format, typer.Option("--format", help="The form of the file.")] = Format.JSONL,
    app: App = None,
    customer: Customer = None,
    outcome: OneOutcome = None,
    status: Status = None,
    pod: Pod = None,
    revision: Revision = None,
    ref: Ref = None,
    since: From = None,
    until: To = None,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Bring request records into a file; what broke off goes on with the same command."""
    filters = _filters(
        app=app, customer=customer, outcome=outcome, status=status, pod=pod,
        revision=revision, ref=ref, since=since, until=until,
    )  # fmt: skip
    typed = {**filters, "from": since, "to": until}
    data = api.service("data", directory=directory, server=server, token_file=token_file)
    tell = Teller()
    manifest = downloads.fetch(
        data,
        wish=msgspec.json.encode([form, typed], order="sorted").decode(),
        body={"format": form.value, "filters": filters},
        file=out,
        tell=tell,
    )
    tell.last(f"{out}: {manifest.rows} records, {manifest.bytes} bytes, SHA-256 {manifest.sha256}")


def availability(
    *,
    app: Annotated[str | None, typer.Option(help="Only this application.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="From this minute on: RFC 3339, or before now like -1h, -7d."),
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before this minute.")] = None,
    by: Annotated[
        str, typer.Option(help="A row for each of: app, minute or hour, with commas between.")
    ] = "app",
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print availability and the error budget: good requests among those that could be good."""
    now = datetime.now(UTC)
    query = {
        "app": app,
        "from": since and times.rfc3339(times.from_minute("--from", since, now=now)),
        "to": until and times.rfc3339(times.to_minute("--to", until, now=now)),
        "by": by,
    }
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    answer = stats.told("/v1/availability", query)
    found = show(answer, rows="availability", columns=AVAILABILITY, output=output)
    typer.echo(found or "nothing found", err=not found)


def _filters(
    *,
    app: str | None,
    customer: str | None,
    outcome: Outcome | None,
    status: int | None,
    pod: str | None,
    revision: str | None,
    ref: str | None,
    since: str | None,
    until: str | None,
) -> Mapping[str, str | int]:
    """Those that are given, by the names that data has for them."""
    now = datetime.now(UTC)
    named: dict[str, str | int | None] = {
        "app": app,
        "customer": customer,
        "outcome": None if outcome is None else outcome.value,
        "status": status,
        "pod": pod,
        "revision": revision,
        "ref": ref,
        "from": None if since is None else times.rfc3339(times.parsed("--from", since, now=now)),
        "to": None if until is None else times.rfc3339(times.parsed("--to", until, now=now)),
    }
    return {name: value for name, value in named.items() if value is not None}
