"""``midstage hpa replay``: are all decisions made again to the byte, and which one is not?"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import typer

from midstage.client import api, explained, times
from midstage.client.platform import HERE, Directory, Server
from midstage.client.sse import lines
from midstage.client.telling import Teller
from midstage.contracts.errors import UnavailableError
from midstage.contracts.scaling import Evaluation, EvaluationMade

TIME = "RFC 3339, or before now like -90s, -30m, -1h, -7d."
_SILENT_S = 600.0
"""A deep replay reads all topics before it says anything."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first evaluation that came out otherwise; ``made`` None: it could not be made."""

    app: str
    at: datetime
    way: str
    where: str
    stored: Evaluation
    made: Evaluation | None = None


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """A line of hpa's answer: the sums so far, and in the last one those of all."""

    total: int
    changes: int
    from_stored_equal: int
    deep: bool
    from_topics_equal: int
    unheld: int
    others: dict[str, int]
    done: bool
    equal: bool = False
    first: Difference | None = None
    error: str = ""


_SUMS: Final = msgspec.json.Decoder(Sums)


def replay(
    app: Annotated[str | None, typer.Argument(metavar="[APP]", help="Only this one.")] = None,
    *,
    deep: Annotated[bool, typer.Option("--deep", help="From the topics' facts, too.")] = False,
    since: Annotated[str | None, typer.Option("--from", help=f"From then on: {TIME}")] = None,
    until: Annotated[str | None, typer.Option("--to", help=f"Before then: {TIME}")] = None,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Make all evaluations and changes again; 1 and the first difference where one is not equal."""
    now = datetime.now(UTC)
    query = {
        "app": app,
        "from": since and times.rfc3339(times.parsed("--from", since, now=now)),
        "to": until and times.rfc3339(times.parsed("--to", until, now=now)),
        "deep": "true" if deep else None,
    }
    hpa = api.service("hpa", directory=directory, server=server)
    with hpa.pieces("/v1/replay", query, silent_s=_SILENT_S) as pieces:
        found = _last(pieces)
    typer.echo("\n".join(_told(found)))
    if found.first is not None:
        typer.echo(f"\n{_shown(found.first)}")
    if not found.equal:
        raise typer.Exit(1)


def _last(pieces: Iterator[bytes]) -> Sums:
    """The sums of all, those so far on stderr; UnavailableError where hpa came to no end."""
    found: Sums | None = None
    teller = Teller()
    try:
        for line in lines(pieces):
            found = _SUMS.decode(line)
            teller(f"{found.total + found.changes:,} made again")
    except msgspec.DecodeError as e:
        raise UnavailableError(f"hpa did not come to the end of the replay: {e}") from e
    if found is None or not found.done:
        said = "" if found is None else found.error
        raise UnavailableError(said or "hpa did not come to the end of the replay")
    teller.last(f"{found.total + found.changes:,} made again")
    return found


def _told(found: Sums) -> Iterator[str]:
    of = found.total + found.changes
    yield f"{found.total} evaluations, {found.changes} changes of a count"
    yield f"  from what they stored   {found.from_stored_equal} of {of} to the byte"
    if found.deep:
        held = found.total - found.unheld
        yield f"  from the topics         {found.from_topics_equal} of {held} to the byte"
        if found.unheld:
            yield f"  no longer held there    {found.unheld}"
    for engine, count in found.others.items():
        yield f"  not made again          {count} of {engine or 'an unnamed engine'}"


def _shown(first: Difference) -> str:
    at = times.rfc3339(first.at)
    parts = [
        f"The first that differs: {first.app} at {at}, {first.way}: {first.where}",
        f"As it was stored\n{_indented(first.app, first.stored)}",
    ]
    if first.made is not None:
        parts.append(f"As it is made again\n{_indented(first.app, first.made)}")
    return "\n\n".join(parts)


def _indented(app: str, evaluation: Evaluation) -> str:
    text = explained.text(EvaluationMade(app=app, evaluation=evaluation))
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())
