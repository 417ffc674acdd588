"""The local cluster over HTTP: ``Cluster`` as its users hold it, thread-safe.

Whatever can't be asked now is unavailable: a refused connection, a timeout, a 5xx. A watch on which
nothing came for 10 s, not even a bookmark, is half open and counts as broken.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from midstage.cluster import wire
from midstage.cluster.check import check
from midstage.cluster.faults import Fault
from midstage.cluster.objects import (
    Change,
    Lease,
    Listing,
    Node,
    NodeUse,
    Pod,
    PodUse,
    Preview,
    QuotaUse,
    Reference,
    Workload,
)
from midstage.cluster.protocol import ConflictError, Ending, ExpiredError
from midstage.cluster.usage import by_node
from midstage.contracts.errors import MidstageError, RefusedError, UnavailableError
from midstage.contracts.running import Disruption

T = TypeVar("T")

_WITHIN_S = 5.0
_SILENT_S = 10.0
KEPT_S = 2.0
"""The daemon closes a connection after 5 s of silence: used at that moment it would be reset."""
_TOLD = 300
_NOTHING: Mapping[str, str] = {}

for _kind in (Listing, Change, Workload, Preview, Node, Pod, Lease, wire.Usage, wire.Done):
    msgspec.json.Decoder(_kind)  # not for the first time by several threads at once: it crashes
msgspec.json.Decoder(wire.Problem)


class HttpCluster:
    """Implements ``Cluster`` against ``python -m midstage.local.cluster`` at ``base_url``."""

    def __init__(
        self, *, name: str, base_url: str, token: str, silent_s: float = _SILENT_S
    ) -> None:
        """``token`` is the bearer token of the changing routes; nothing connects yet.

        A stream on which nothing comes for ``silent_s`` is taken for broken.
        """
        self.name = name
        self._silent_s = silent_s
        self._client = httpx.Client(
            base_url=base_url,
            headers={"authorization": f"Bearer {token}"},
            timeout=_WITHIN_S,
            limits=httpx.Limits(max_connections=None, keepalive_expiry=KEPT_S),
            trust_env=False,
            verify=base_url.startswith("https:"),  # certificates take 0.1 s of CPU to read
        )

    def list(self) -> Listing:
        """As ``Cluster.list``."""
        return self._get(wire.OBJECTS, Listing)

    def watch(self, since: int) -> Iterator[Change]:
        """As ``Cluster.watch``."""
        since_then = {"since": str(since)}
        with self._stream(wire.WATCH, since_then, silent_s=self._silent_s) as answer:
            decoder = msgspec.json.Decoder(Change)
            for line in _lines(answer.iter_raw()):
                yield self._read(line, decoder.decode)
        raise UnavailableError(f"{self.name}: the watch ended; list again or go on with it")

    def put_workload(self, workload: Workload, *, expected: int, ending: Ending = None) -> Workload:
        """As ``Cluster.put_workload``; what can't be is refused before it is asked for."""
        check(workload)
        body = wire.WorkloadPut(workload=workload, expected=expected, ending=_named(ending))
        return self._put(f"{wire.WORKLOADS}/{quote(workload.name, safe='')}", body, Workload)

    def scale_workload(
        self, name: str, *, replicas: int, expected: int, ending: Ending = None
    ) -> Workload:
        """As ``Cluster.scale_workload``."""
        body = wire.WorkloadScaled(replicas=replicas, expected=expected, ending=_named(ending))
        return self._put(f"{wire.WORKLOADS}/{quote(name, safe='')}/scaled", body, Workload)

    def adopt(self, name: str, *, app: str) -> Workload:
        """As ``Cluster.adopt``; always refused: nobody else makes workloads here."""
        body = wire.WorkloadAdopted(app=app)
        return self._put(f"{wire.WORKLOADS}/{quote(name, safe='')}/adopted", body, Workload)

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        """As ``Cluster.preview``."""
        check(workload)
        body = wire.WorkloadPut(workload=workload, expected=expected)
        where = f"{wire.WORKLOADS}/{quote(workload.name, safe='')}/preview"
        return self._put(where, body, Preview)

    def delete_workload(self, name: str, *, expected: int, ending: Ending = None) -> None:
        """As ``Cluster.delete_workload``."""
        where = f"{wire.WORKLOADS}/{quote(name, safe='')}"
        body = wire.WorkloadDeleted(expected=expected, ending=_named(ending))
        self._put(f"{where}/deleted", body, wire.Done)

    def drain_pod(self, name: str, *, uid: str, draining: bool) -> Pod:
        """As ``Cluster.drain_pod``."""
        body = wire.PodDrained(uid=uid, draining=draining)
        return self._put(f"{wire.PODS}/{quote(name, safe='')}/draining", body, Pod)

    def usage(self) -> Sequence[PodUse]:
        """As ``Cluster.usage``."""
        return self._get(wire.USAGE, wire.Usage).pods

    def node_usage(self) -> Sequence[NodeUse]:
        """The pods of each node together."""
        return by_node(self.usage())

    def quotas(self) -> Sequence[QuotaUse]:
        """As ``Cluster.quotas``: a local cluster has none."""
        return ()

    def cordon(self, node: str, *, on: bool, emptied: bool = False) -> Node:
        """As ``Cluster.cordon``."""
        where = f"{wire.NODES}/{quote(node, safe='')}/cordoned"
        return self._put(where, wire.NodeCordoned(on=on, emptied=emptied), Node)

    def evict_pod(self, name: str, *, uid: str) -> None:
        """As ``Cluster.evict_pod``."""
        where = f"{wire.PODS}/{quote(name, safe='')}/evicted"
        self._put(where, wire.PodEvicted(uid=uid), wire.Done)

    def logs(
        self, pod: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> Iterator[bytes]:
        """As ``Cluster.logs``; the pieces end where the pod does."""
        params = {"follow": _flag(follow), "previous": _flag(previous)}
        if tail is not None:
            params["tail"] = str(tail)
        where = f"{wire.PODS}/{quote(pod, safe='')}/logs"
        with self._stream(where, params, silent_s=None if follow else self._silent_s) as answer:
            yield from answer.iter_raw()

    def astray(self, _wanted: Mapping[str, Disruption | None]) -> Mapping[str, tuple[str, ...]]:
        """Nothing: nothing goes with workloads here."""
        return {}

    def take_lease(self, name: str, *, holder: str, within: timedelta) -> Lease:
        """As ``Cluster.take_lease``."""
        body = wire.LeaseTaken(holder=holder, within_s=within.total_seconds())
        return self._put(f"{wire.LEASES}/{quote(name, safe='')}", body, Lease)

    def references(self, references: Collection[Reference]) -> Mapping[Reference, str]:  # noqa: ARG002  a local cluster has none
        """As ``Cluster.references``: a local cluster has neither secrets nor configs."""
        return {}

    def fault(self, fault: Fault) -> None:
        """Let something go wrong on demand; RefusedError where it can't, 404: no such object."""
        self._ask("POST", wire.FAULTS, content=msgspec.json.encode(fault))

    def close(self) -> None:
        """Let go of all connections."""
        self._client.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _raised: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _get(self, where: str, kind: type[T]) -> T:
        return self._read(self._ask("GET", where), msgspec.json.Decoder(kind).decode)

    def _put(self, where: str, body: wire.Body, kind: type[T]) -> T:
        answer = self._ask("PUT", where, content=msgspec.json.encode(body))
        return self._read(answer, msgspec.json.Decoder(kind).decode)

    def _ask(
        self,
        method: str,
        where: str,
        *,
        content: bytes | None = None,
        params: Mapping[str, str] = _NOTHING,
    ) -> bytes:
        with self._reaching():
            answer = self._client.request(method, where, content=content, params=params)
        if not answer.is_success:
            raise self._error(answer)
        return answer.content

    @contextmanager
    def _stream(
        self, where: str, params: Mapping[str, str], *, silent_s: float | None
    ) -> Iterator[httpx.Response]:
        within = httpx.Timeout(_WITHIN_S, read=silent_s)
        with (
            self._reaching(),
            self._client.stream("GET", where, params=params, timeout=within) as answer,
        ):
            if not answer.is_success:
                answer.read()
                raise self._error(answer)
            yield answer

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (httpx.TransportError, httpx.StreamError) as e:
            raise UnavailableError(f"{self.name} does not answer: {e or type(e).__name__}") from e

    def _read(self, answer: bytes, decode: Callable[[bytes], T]) -> T:
        try:
            return decode(answer)
        except msgspec.MsgspecError as e:
            raise UnavailableError(f"{self.name} answers what can't be read: {e}") from e

    def _error(self, answer: httpx.Response) -> MidstageError:
        said = f"{self.name} answers {answer.status_code}: {_detail(answer.content)}"
        match answer.status_code:
            case 409:
                return ConflictError(_detail(answer.content))
            case 410:
                return ExpiredError(said)
            case status if 400 <= status < 500:
                return RefusedError(_detail(answer.content) or said, status=status)
            case _:
                return UnavailableError(said)


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines of what comes in any pieces; what is left without an end is not one."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole


def _detail(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=wire.Problem).detail
    except msgspec.MsgspecError:
        return body[:_TOLD].decode(errors="replace")


def _flag(value: bool) -> str:  # noqa: FBT001  a query parameter
    return "true" if value else "false"


def _named(ending: Ending) -> tuple[tuple[str, int], ...] | None:
    return None if ending is None else tuple(sorted(ending))
