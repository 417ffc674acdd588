"""Which pods are bound, from a list and the watch after it, in a thread of its own.

After an error, or where the watch's beginning is too old (410), everything is listed anew; whoever
hears the list knows what is gone. A list is always the whole truth, a change never goes back.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from midstage.chassis.logs import logger
from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.local.kubelet.answers import Failure, Head, Only, PodList
from midstage.local.kubelet.shapes import Pod

PODS = "/api/v1/pods"
_BOUND = "spec.nodeName!="
_WATCH_S = 240
_SILENT_S = 90.0
"""A server sends a bookmark each minute: one that says nothing for longer is not there any more."""
_FIRST_S, _LONGEST_S = 0.1, 2.0
_PAGE = 500
_TOLD = 300
# made at import, on one thread: msgspec's types are not ready for a first use by several at once
_LIST = msgspec.json.Decoder(PodList)
_POD = msgspec.json.Decoder(Pod)
_HEAD = msgspec.json.Decoder(Head)
_ONLY = msgspec.json.Decoder(Only)
_FAILURE = msgspec.json.Decoder(Failure)

_log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """All pods that are bound now."""

    pods: tuple[Pod, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One pod as it is now, or, if ``gone``, was at last."""

    pod: Pod
    gone: bool = False


Heard = Listed | Changed


class Watching:
    """Tells ``hear``, from its own thread, all that it reads, until ``stop``."""

    def __init__(self, connection: Connection, *, hear: Callable[[Heard], None]) -> None:
        """Nothing is asked yet."""
        self._connection = connection
        self._hear = hear

    def run(self, stop: threading.Event) -> None:
        """List and watch; it may end as late as the server's next word after ``stop``."""
        version, failures = "", 0
        while not stop.is_set():
            try:
                version = version or self._listed()
                for after in self._watched(version, stop):
                    version, failures = after, 0
            except ExpiredError:
                version = ""
            except (UnavailableError, RefusedError) as e:
                failures += 1
                _log.warning("pods_unread", reason=str(e), failures=failures)
                wait_s = min(_LONGEST_S, _FIRST_S * 2 ** min(failures, 10))
                time.sleep(wait_s * random.uniform(0.5, 1.0))

    def _listed(self) -> str:
        pods: list[Pod] = []
        after = ""
        while True:
            query: dict[str, str | int] = {"fieldSelector": _BOUND, "limit": _PAGE}
            if after:
                query["continue"] = after
            body = self._connection.request("GET", PODS, query=query)
            page = self._connection.decoded(body, _LIST)
            pods.extend(pod for each in page.items if (pod := _read(bytes(each))) is not None)
            if not (after := page.metadata.continue_):
                self._hear(Listed(pods=tuple(pods)))
                return page.metadata.resource_version

    def _watched(self, version: str, stop: threading.Event) -> Iterator[str]:
        """The version after each event."""
        query: dict[str, str | int] = {
            "watch": "true",
            "fieldSelector": _BOUND,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": _WATCH_S,
        }
        with self._connection.stream(PODS, query=query, silent_s=_SILENT_S) as stream:
            for line in lines(stream.pieces):
                yield self._told(self._connection.decoded(line, _HEAD))
                if stop.is_set():
                    return

    def _version(self, body: bytes) -> str:
        return self._connection.decoded(body, _ONLY).metadata.resource_version

    def _told(self, head: Head) -> str:
        body = bytes(head.object)
        match head.type:
            case "ADDED" | "MODIFIED" | "DELETED":
                if (pod := _read(body)) is not None:
                    self._hear(Changed(pod=pod, gone=head.type == "DELETED"))
                return self._version(body)
            case "BOOKMARK":
                return self._version(body)
            case _:
                failure = Failure()
                with suppress(msgspec.MsgspecError):
                    failure = _FAILURE.decode(body)
                if failure.code == 410:
                    raise ExpiredError(failure.message)
                raise UnavailableError(f"the watch ends with {failure.code}: {failure.message}")


def _read(body: bytes) -> Pod | None:
    """A pod; None where it is not what it should be, so that the others are read."""
    try:
        return _POD.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        _log.error("pod_unreadable", reason=str(e), pod=body[:_TOLD].decode(errors="replace"))
        return None


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines that say something, however the pieces were cut."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line for line in whole if line.strip())
