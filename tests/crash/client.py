"""A client without numbers that dies: sends each line of its spool until it is acknowledged.

Its position is a file that moves after the acknowledgement, so a line whose acknowledgement was
lost is sent again with the same id. With ``CRASH_INGEST`` (addresses) it posts to the HTTP ingest
of any shard that takes it, else it writes to the log itself.
"""

import os
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from midstage.contracts.topics import REQUESTS
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Delivered, Delivery, Message

_MOST = 100
_POLL_S = 0.05
_POST_S = 3.0
_FLUSH_S = 5.0
TOKEN = "a-token-of-the-run"
BATCH = "application/cloudevents-batch+json"


def main(env: Mapping[str, str], *, reached: Callable[[str], None]) -> int:
    """Send until killed."""
    spool = Spool(Path(env["CRASH_FOLDER"]))
    ingest = env.get("CRASH_INGEST", "")
    send = (
        posted(ingest.split(","), reached)
        if ingest
        else logged(env["CRASH_KAFKA"], env["CRASH_SOURCE"].encode(), reached)
    )
    idle = threading.Event()
    while True:
        lines = spool.waiting()
        if not lines or not send(lines):
            idle.wait(_POLL_S)
            continue
        reached("client:acknowledged")
        spool.done()


def whole(line: bytes) -> bool:
    """Whether a line has its end; one that is being written has not."""
    return line.endswith(b"\n")


class Spool:
    """Lines to send, and how many of them were acknowledged.

    A position is absolute: one that is older (of a woken predecessor) only lets lines go again.
    """

    def __init__(self, folder: Path) -> None:
        self._lines = folder / "spool"
        self._position = folder / "position"
        self._taken = (0, 0)

    def add(self, lines: Sequence[bytes]) -> None:
        with self._lines.open("ab") as file:
            file.write(b"".join(line + b"\n" for line in lines))

    def acknowledged(self) -> int:
        return self._stands()[0]

    def waiting(self) -> Sequence[bytes]:
        """The next whole lines."""
        if not self._lines.exists():
            return ()
        count, offset = self._stands()
        with self._lines.open("rb") as file:
            file.seek(offset)
            read = (file.readline() for _ in range(_MOST))
            found = list(takewhile(whole, read))  # what follows half a line is its other half
        self._taken = (count + len(found), offset + sum(map(len, found)))
        return [line.rstrip(b"\n") for line in found]

    def done(self) -> None:
        """All that ``waiting`` gave last are acknowledged."""
        count, offset = self._taken
        draft = self._position.with_suffix(f".{os.getpid()}")
        draft.write_text(f"{count} {offset}")
        draft.replace(self._position)

    def _stands(self) -> tuple[int, int]:
        if not self._position.exists():
            return 0, 0
        count, offset = self._position.read_text().split()
        return int(count), int(offset)


def logged(
    kafka: str, key: bytes, reached: Callable[[str], None]
) -> Callable[[Sequence[bytes]], bool]:
    """Write to the log; True once every line is acknowledged."""
    writer = KafkaLog(bootstrap=kafka, client_id="client").writer()
    headers = ((CONTENT_TYPE, STRUCTURED),)

    def send(lines: Sequence[bytes]) -> bool:
        heard: list[Delivery] = []
        for line in lines:
            message = Message(topic=REQUESTS.name, key=key, value=line, headers=headers)
            writer.send(message, heard.append)
        reached("client:sent")
        writer.flush(_FLUSH_S)
        return sum(isinstance(one, Delivered) for one in heard) == len(lines)

    return send


def posted(
    addresses: Sequence[str], reached: Callable[[str], None]
) -> Callable[[Sequence[bytes]], bool]:
    """Post to one address after the other; True once one has said 204."""
    turn = 0

    def send(lines: Sequence[bytes]) -> bool:
        nonlocal turn
        turn += 1
        asked = urllib.request.Request(
            f"http://{addresses[turn % len(addresses)]}/v1/events",
            data=b"[" + b",".join(lines) + b"]",
            headers={"content-type": BATCH, "authorization": f"Bearer {TOKEN}"},
        )
        reached("client:sent")
        try:
            with urllib.request.urlopen(asked, timeout=_POST_S) as answer:
                return bool(answer.status == 204)
        except OSError:
            return False

    return send
