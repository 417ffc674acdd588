"""``midstage get usage``: exact usage by any dimension, on the screen or as a file.

A table, JSON and YAML are put together from the service's pages, which are of one moment; CSV, an
Arrow stream and Parquet are its own files with every column. A file appears whole or not at all.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from midstage.client import api, times
from midstage.client.files import put
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.show import Output, show
from midstage.contracts.errors import RefusedError, UnavailableError

PATH = "/v1/usage"
TIME = "RFC 3339, or before now like -90s, -30m, -1h, -7d."
LABEL = "label."
SKETCHED = ("latency_ms", "ttft_ms")
_PAGE = 10_000
_MEASURED = (
    *("requests", "outcomes.*", "units.*", "bytes_in", "bytes_out", "customers"),
    *("latency_ms.*", "ttft_ms.*"),
)
_PART = re.compile(r'\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(?:,|\Z)')
_ODD = re.compile(r'[",\s]')
Query = list[tuple[str, str]]


class Form(StrEnum):
    """The form that usage is given in."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


FILES = {
    Form.CSV: "text/csv",
    Form.ARROW: "application/vnd.apache.arrow.stream",
    Form.PARQUET: "application/vnd.apache.parquet",
}


def usage(
    *,
    customer: Annotated[
        list[str] | None, typer.Option(help="Only this customer; more than once for several.")
    ] = None,
    app: Annotated[
        list[str] | None, typer.Option(help="Only this application; more than once for several.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only where it is so: status=429, outcome=ok, label.team=search."),
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help=f"From then on: {TIME}")] = None,
    until: Annotated[str | None, typer.Option("--to", help=f"Before then: {TIME}")] = None,
    window: Annotated[
        str | None,
        typer.Option(help="A row for each second, minute, hour, day, week or month."),
    ] = None,
    zone: Annotated[
        str, typer.Option(help="The time zone of windows, like Europe/Berlin.")
    ] = "UTC",
    group_by: Annotated[
        str,
        typer.Option(
            "-g",
            "--group-by",
            help="A row for each of, with commas between: customer, app, endpoint, revision, "
            "outcome, kind, cluster, pod, status, estimated, label.NAME; one with commas in it in "
            "double quotes.",
        ),
    ] = "customer,app",
    measures: Annotated[
        str,
        typer.Option(
            "-m",
            "--measures",
            help="requests, outcomes, units, units.NAME, bytes_in, bytes_out, customers, "
            "latency_ms.p50, ttft_ms.p99.9, ...",
        ),
    ] = "",
    order: Annotated[
        str, typer.Option(help="What rows are in order of, the largest first with - before it.")
    ] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="So many rows at most; else all.")
    ] = None,
    output: Annotated[Form, typer.Option("-o", "--output", help="The form.")] = Form.TABLE,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="Write into this file.")] = None,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print exact usage; with a customer's key in --token-file that customer's own."""
    now = datetime.now(UTC)
    query = [
        *[("customer", name) for name in customer or ()],
        *[("app", name) for name in app or ()],
        *[_condition(text) for text in where or ()],
        *_said("from", since and times.rfc3339(times.from_minute("--from", since, now=now))),
        *_said("to", until and times.rfc3339(times.to_minute("--to", until, now=now))),
        *_said("window", window),
        *_said("zone", zone if window else None),
        *_said("group_by", group_by),
        *_said("measures", measures),
        *_said("order", order),
    ]
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    if output in FILES:
        if limit is not None:
            raise RefusedError(f"-o {output} holds every row; leave --limit out")
        put(stats.fetched(PATH, query, accept=FILES[output]), file)
        return
    answer = whole(stats, query, limit=limit)
    named = [quoted.replace('""', '"') or name.strip() for quoted, name in _PART.findall(group_by)]
    columns = [_flat(name) for name in named if name]
    shown = show(
        _flattened(answer) if output is Form.TABLE else answer,
        rows="usage",
        columns=("window", *columns, *_MEASURED),
        output=Output(output.value),
    )
    if file is not None:
        put(f"{shown}\n".encode() if shown else b"", file)
    else:
        typer.echo(shown or "nothing found", err=not shown)


def listed(names: Iterable[str]) -> str:
    """The names with commas between; those that hold some, or quotes or blanks, in quotes."""
    return ",".join('"{}"'.format(n.replace('"', '""')) if _ODD.search(n) else n for n in names)


class _Page(msgspec.Struct):
    usage: list[msgspec.Raw]
    next: str | None = None


def whole(stats: api.Service, query: Query, *, limit: int | None = None) -> bytes:
    """All pages as one answer; what it rests on is the same for each of them."""
    rows: list[msgspec.Raw] = []
    said: dict[str, msgspec.Raw] = {}
    after: str | None = None
    while limit is None or len(rows) < limit:
        size = _PAGE if limit is None else min(_PAGE, limit - len(rows))
        asked = [*query, ("limit", str(size)), *_said("after", after)]
        answer = stats.fetched(PATH, asked)
        try:
            page = msgspec.json.decode(answer, type=_Page)
            said = said or msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError as e:
            raise UnavailableError(f"{stats.url} does not answer as midstage does: {e}") from e
        rows += page.usage
        after = page.next
        if after is None:
            break
    return msgspec.json.encode({**said, "usage": rows, "next": after})


def _said(name: str, value: str | None) -> Query:
    return [(name, value)] if value else []


def _condition(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise RefusedError(f"--where {text!r} is not like status=429")
    return name, value


def _flat(name: str) -> str:
    """A label's column in a table, where a dot leads into a value."""
    return name.replace(".", " ") if name.startswith(LABEL) else name


def _flattened(answer: bytes) -> bytes:
    rows = msgspec.json.decode(answer, type=dict[str, object]).get("usage")
    listed: Sequence[object] = rows if isinstance(rows, list) else []
    flat = [
        {_flat(name): _quantiles(name, value) for name, value in row.items()}
        for row in listed
        if isinstance(row, dict)
    ]
    return msgspec.json.encode({"usage": flat})


def _quantiles(name: str, value: object) -> object:
    """Quantiles under their whole names, to the four digits that a sketch's error of 1 % allows."""
    if name not in SKETCHED or not isinstance(value, dict):
        return value
    return {
        f"{name} {quantile}": float(f"{number:.4g}") if isinstance(number, float) else number
        for quantile, number in value.items()
    }
