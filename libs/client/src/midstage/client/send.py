"""``midstage send log``: unnumbered events of a file into Kafka, each acknowledged or named.

Nothing is sent unless every line is an event, or ``--skip-invalid`` says to send the others. An
event sent twice with its own id and source counts once; one whose id was filled in counts twice.
"""

import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from midstage.client import groups, platform
from midstage.client.events import Filling, Reading
from midstage.client.platform import HERE, Directory
from midstage.contracts.errors import RefusedError, UnavailableError, UnreadableError
from midstage.contracts.topics import REQUESTS
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Delivered, Delivery, Log, Message

SEND = "Send events to be counted."
NAMED_AT_MOST = 20
STDIN = Path("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What the lines are: messages to send, and what is refused by line number."""

    messages: Sequence[Message]
    refused: Sequence[tuple[int, str]]


@dataclass(slots=True)
class Receipt:
    """What became of the messages; filled in by the writer's own thread."""

    acknowledged: int = 0
    reasons: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, delivery: Delivery) -> None:
        """Count one delivery."""
        with self._lock:
            if isinstance(delivery, Delivered):
                self.acknowledged += 1
            else:
                self.reasons.append(delivery.reason)


def register(app: typer.Typer) -> None:
    """Add ``send log`` to ``app``."""
    groups.named(app, "send", about=SEND).command("log")(send)


def send(
    file: Annotated[
        Path,
        typer.Argument(help="One JSON object a line: a CloudEvent or request data; - is stdin."),
    ],
    *,
    topic: Annotated[str, typer.Option(help="The topic of requests.")] = REQUESTS.name,
    source: Annotated[
        str | None, typer.Option(help="For events without a source.", show_default="cli/<hostname>")
    ] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Send the valid lines where others are not.")
    ] = False,
    within_s: Annotated[
        float, typer.Option("--timeout", min=1, help="Seconds to wait for acknowledgements.")
    ] = 30.0,
    directory: Directory = HERE,
    kafka: Annotated[
        str | None, typer.Option(help="Kafka's bootstrap servers, instead of --dir.")
    ] = None,
) -> None:
    """Send unnumbered request events into the log itself, Kafka."""
    address = _address(kafka, directory)
    filling = filling_of(source)
    found = read(lines(file), Reading(filling, topic=topic))
    name([(f"line {number}", reason) for number, reason in found.refused])
    if found.refused and not skip_invalid:
        raise RefusedError(
            f"nothing was sent: {len(found.refused)} of "
            f"{len(found.refused) + len(found.messages)} lines are refused; "
            "mend them or use --skip-invalid"
        )
    log = KafkaLog(bootstrap=address, client_id="midstage-cli")
    receipt = deliver(log, found.messages, topic=topic, within_s=within_s)
    typer.echo(f"{receipt.acknowledged} of {len(found.messages)} events acknowledged by {topic}")
    if receipt.acknowledged < len(found.messages):
        raise UnavailableError(_unacknowledged(receipt, within_s))


def filling_of(source: str | None) -> Filling:
    """What fills the gaps of what is sent from here."""
    return Filling(
        source=source or f"cli/{socket.gethostname()}",
        now=lambda: datetime.now(UTC),
        new_id=lambda: str(uuid.uuid4()),
    )


def read(lines: Iterable[bytes], reading: Reading) -> Read:
    """Each line as a message, or why not; blank lines are passed over."""
    messages: list[Message] = []
    refused: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            messages.append(reading(line))
        except UnreadableError as e:
            refused.append((number, str(e)))
    return Read(messages=messages, refused=refused)


def deliver(log: Log, messages: Sequence[Message], *, topic: str, within_s: float) -> Receipt:
    """Write the messages and wait for their acknowledgements; UnavailableError without a topic."""
    receipt = Receipt()
    if not messages:
        return receipt
    log.partitions(topic)
    deadline = time.monotonic() + within_s
    with closing(log.writer()) as writer:
        for message in messages:
            writer.send(message, receipt.note)
        writer.flush(max(0.0, deadline - time.monotonic()))
    return receipt


def _address(kafka: str | None, directory: Path) -> str:
    """Where Kafka listens: asked first, because its client would try for long and say much."""
    address = kafka or platform.in_directory(directory).kafka
    if platform.answers(address):
        return address
    if kafka is None:
        raise platform.nothing_runs(directory)
    raise UnavailableError(f"no Kafka answers at {address}; is it up and reachable?")


def lines(file: Path) -> Iterable[bytes]:
    """The lines of a file or of stdin; RefusedError where it can't be read."""
    if file == STDIN:
        yield from sys.stdin.buffer
        return
    try:
        with file.open("rb") as opened:
            yield from opened
    except OSError as e:
        raise RefusedError(f"{file} can't be read: {e.strerror}") from e


def name(refused: Sequence[tuple[str, str]]) -> None:
    """Tell the first of them on stderr, each by its place with the reason."""
    for place, reason in refused[:NAMED_AT_MOST]:
        typer.echo(f"{place}: {reason}", err=True)
    if len(refused) > NAMED_AT_MOST:
        typer.echo(f"and {len(refused) - NAMED_AT_MOST} more", err=True)


def _unacknowledged(receipt: Receipt, within_s: float) -> str:
    reason = receipt.reasons[0] if receipt.reasons else f"no answer within {within_s:g} s"
    return f"not every event is acknowledged: {reason}; send those with ids of their own again"
