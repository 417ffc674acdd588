"""``midstage send events``: a file's events over HTTP, each acknowledged or named with its fault.

A batch that is not acknowledged is sent again with the same ids until it is, so nothing counts
twice; what is refused is named by its place in the file and its JSON pointer, and the others go on.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import uniform
from typing import Annotated, Literal

import msgspec
import typer

from midstage.client import api, groups
from midstage.client.events import Filling, filled
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.send import SEND, filling_of, lines, name
from midstage.client.telling import Teller
from midstage.contracts.errors import RefusedError, UnavailableError, UnreadableError

BATCH = "application/cloudevents-batch+json"
PATH = "/v1/events?detail=true"
MOST_EVENTS = 1_000
MOST_BYTES = 2 * 1024 * 1024
LARGEST_EVENT = 1024 * 1024
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0


class _Told(msgspec.Struct):
    index: int
    state: Literal["accepted", "known", "refused"]
    pointer: str = ""
    detail: str = ""


class _Receipt(msgspec.Struct):
    events: list[_Told]


_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Placed:
    """An event as it is sent, and where in the file it stands."""

    place: str
    content: bytes


@dataclass(slots=True)
class Sent:
    """What became of the events so far; ``refused`` by place."""

    acknowledged: int = 0
    known: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)

    def note(self, batch: Sequence[Placed], receipt: bytes) -> None:
        """Add what was told of a batch; UnavailableError where that is no answer of stats."""
        told = api.read(receipt, _Receipt, whose="stats'").events
        if sorted(one.index for one in told) != list(range(len(batch))):
            raise UnavailableError("stats' answer is not about what was sent")
        for one in told:
            if one.state == "refused":
                where = f"{one.pointer}: " if one.pointer else ""
                self.refused.append((batch[one.index].place, f"{where}{one.detail}"))
            else:
                self.acknowledged += 1
                self.known += one.state == "known"

    def count(self) -> int:
        """Of how many events it is known."""
        return self.acknowledged + len(self.refused)


def register(app: typer.Typer) -> None:
    """Add ``send events`` to ``app``."""
    groups.named(app, "send", about=SEND).command("events")(send_events)


def send_events(
    file: Annotated[
        Path,
        typer.Argument(
            help="CloudEvents or request data: a JSON object a line, or an array; - is stdin."
        ),
    ],
    *,
    source: Annotated[
        str | None, typer.Option(help="For events without a source.", show_default="cli/<hostname>")
    ] = None,
    within_s: Annotated[
        float, typer.Option("--timeout", min=1, help="Give up after so many seconds in vain.")
    ] = 60.0,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Send events over HTTP until each is acknowledged, or refused by name."""
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    sent, tell = Sent(), Teller()
    for batch in batches(placed(lines(file), filling_of(source), sent)):
        try:
            sent.note(batch, _acknowledged(stats, batch, within_s=within_s))
        except UnavailableError as e:
            raise UnavailableError(
                f"{e}; {sent.acknowledged} events are acknowledged, what follows is not known: "
                "send the file again, events with ids of their own count once"
            ) from e
        tell(f"{sent.count()} events sent")
    name(sent.refused)
    known = f", {sent.known} of them known already" if sent.known else ""
    typer.echo(f"{sent.acknowledged} of {sent.count()} events acknowledged{known}")
    if sent.refused:
        raise RefusedError(f"{len(sent.refused)} events are refused; mend them and send them again")


def placed(content: Iterable[bytes], filling: Filling, sent: Sent) -> Iterator[Placed]:
    """The events of the lines, or of the array that they are; ``sent`` hears what is none."""
    for place, text in _texts(content):
        try:
            event = filled(text, filling)
        except UnreadableError as e:
            sent.refused.append((place, str(e)))
            continue
        if len(event) > LARGEST_EVENT:
            sent.refused.append((place, f"an event has at most {LARGEST_EVENT} bytes"))
            continue
        yield Placed(place, event)


def batches(events: Iterable[Placed]) -> Iterator[Sequence[Placed]]:
    """As many at once as a post should hold."""
    batch: list[Placed] = []
    size = 0
    for event in events:
        if batch and (len(batch) == MOST_EVENTS or size + len(event.content) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event.content) + 1
    if batch:
        yield batch


def _texts(content: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Each event's text and place; an array may be a line of its own, or all of what follows."""
    rest = iter(content)
    for number, line in enumerate(rest, start=1):
        if not line.lstrip().startswith(b"["):
            if line.strip():
                yield f"line {number}", line
            continue
        try:
            found = _array(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            found = _whole(line + b"".join(rest), begins=number)
        for at, one in enumerate(found, start=1):
            yield f"line {number}, event {at}", bytes(one)


def _whole(text: bytes, *, begins: int) -> list[msgspec.Raw]:
    try:
        return _array(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise RefusedError(f"line {begins} begins a JSON array that is none: {e}") from e


def _acknowledged(
    stats: api.Service,
    batch: Sequence[Placed],
    *,
    within_s: float,
    pause: Callable[[float], None] = time.sleep,
) -> bytes:
    """The receipt of a batch, which is sent again until there is one or time is up."""
    content = b"[" + b",".join(event.content for event in batch) + b"]"
    deadline = time.monotonic() + within_s
    wait_s = _FIRST_PAUSE_S
    while True:
        try:
            return stats.send(
                PATH, command_id=uuid.uuid4().hex, content=content, content_type=BATCH
            )
        except UnavailableError:
            if time.monotonic() + wait_s > deadline:
                raise
        pause(uniform(wait_s / 2, wait_s))
        wait_s = min(2 * wait_s, _LONGEST_PAUSE_S)
