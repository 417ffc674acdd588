"""``midstage check``: what a request would be told by all limits that it meets; charges nothing."""

from typing import Annotated

import msgspec
import typer

from midstage.client import api, wanted_limits
from midstage.client.limits import show_left
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.show import Output, OutputOption


class _Verdict(msgspec.Struct):
    admitted: bool
    violated: list[str]
    retry_after_s: float | None


def register(app: typer.Typer) -> None:
    """Add ``check`` to ``app``."""
    app.command("check")(check)


def check(
    customer: Annotated[str, typer.Argument(help="Who would ask.")],
    app: Annotated[str, typer.Argument(help="The application that would be asked.")],
    *,
    units: Annotated[
        list[str] | None,
        typer.Option("--use", help="What it would use, like tokens=500; again for more."),
    ] = None,
    key: Annotated[str, typer.Option(help="By this API key.")] = "",
    label: Annotated[
        list[str] | None, typer.Option(help="With this label, like model=large; again for more.")
    ] = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print whether such a request would pass now, and what is left of each limit that it meets.

    As in: midstage check acme chat --use tokens=500
    """
    body = {
        **{"customer": customer, "app": app, "key": key},
        **({"labels": wanted_limits.labels("--label", label)} if label else {}),
        "units": wanted_limits.units("--use", units or ()),
    }
    throttle = api.service("throttle", directory=directory, server=server, token_file=token_file)
    answer = throttle.posed("/v1/checks/foreseen", body)
    told = show_left(answer, output)
    if output is Output.TABLE:
        typer.echo(_said(api.read(answer, _Verdict, whose="throttle's")))
    if told:
        typer.echo(told)


def _said(verdict: _Verdict) -> str:
    if verdict.admitted:
        return "would pass"
    when = "never" if verdict.retry_after_s is None else f"in {verdict.retry_after_s:.3g} s"
    return f"would be refused by {', '.join(verdict.violated)}; would pass {when}"
