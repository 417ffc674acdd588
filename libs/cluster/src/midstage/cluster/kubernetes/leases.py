"""Leases of ``coordination.k8s.io``: one holder at a time, each change of it a higher epoch.

Renewals are written in the server's time, whatever clock a holder has. A lease of somebody else has
run out when it was seen unchanged here for its whole duration, by a clock that never goes back, or
when the server's time is surely past it. Who takes it names the version that was read, so of
several one gets it.
"""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

import msgspec

from midstage.cluster.kubernetes.connection import Answer, Connection
from midstage.cluster.kubernetes.discovery import LEASES, Discovery
from midstage.cluster.kubernetes.shapes import Meta, Shape
from midstage.cluster.objects import Lease
from midstage.cluster.protocol import ConflictError
from midstage.contracts.errors import RefusedError, UnavailableError

_TRIES = 8
_NEAR = timedelta(seconds=2)
"""Two clocks that differ by less are one: the server tells its time in whole seconds."""
_SURELY = timedelta(seconds=5)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class _Spec(Shape, frozen=True, kw_only=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: datetime | None = None
    acquire_time: datetime | None = None
    lease_transitions: int | None = None


class _Lease(Shape, frozen=True, kw_only=True):
    metadata: Meta
    spec: _Spec = _Spec()


_LEASES = msgspec.json.Decoder(_Lease)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    version: str
    since: float


class Leases:
    """Takes and renews leases in one namespace. Thread-safe."""

    def __init__(self, connection: Connection, discovery: Discovery, *, namespace: str) -> None:
        """Ask nothing yet."""
        self._connection = connection
        self._discovery = discovery
        self._namespace = namespace
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}

    def take(self, name: str, *, holder: str, within: timedelta) -> Lease:
        """As ``Cluster.take_lease``."""
        for _ in range(_TRIES):
            known, now = self._read(name)
            if known is not None and not self._may_take(name, known, holder=holder, now=now):
                return _told(known.spec)
            try:
                return self._write(name, known, _spec(known, holder, within, now))
            except ConflictError:
                continue  # another one was faster
        raise UnavailableError(f"{self._connection.name}: lease {name} changes all the time")

    def _read(self, name: str) -> tuple[_Lease | None, datetime]:
        """The lease, None where there is none yet, and the time by the server's clock."""
        path = self._discovery.path(LEASES, namespace=self._namespace, name=name)
        try:
            answer = self._connection.answer("GET", path)
        except RefusedError as e:
            if e.status == 404:
                return None, _servers_now(self._connection.answer("GET", "/api"))
            raise
        return self._connection.decoded(answer.body, _LEASES), _servers_now(answer)

    def _may_take(self, name: str, known: _Lease, *, holder: str, now: datetime) -> bool:
        if known.spec.holder_identity in (holder, None, ""):
            return True
        return self._unchanged_for(name, known) >= _lasts(known.spec) or (
            now >= _ends(known.spec) + _SURELY
        )

    def _unchanged_for(self, name: str, known: _Lease) -> timedelta:
        """How long the lease was seen here as it is."""
        with self._lock:
            now, seen = time.monotonic(), self._seen.get(name)
            if seen is None or seen.version != known.metadata.resource_version:
                seen = _Seen(version=known.metadata.resource_version, since=now)
                self._seen[name] = seen
            return timedelta(seconds=now - seen.since)

    def _write(self, name: str, known: _Lease | None, spec: _Spec) -> Lease:
        """ConflictError where it was changed, or made, since it was read."""
        where = self._discovery.path(
            LEASES, namespace=self._namespace, name="" if known is None else name
        )
        body = msgspec.json.encode(
            {
                "apiVersion": self._discovery.api_version(LEASES),
                "kind": LEASES.kind,
                "metadata": {
                    "name": name,
                    "namespace": self._namespace,
                    **({"resourceVersion": known.metadata.resource_version} if known else {}),
                },
                "spec": {
                    "holderIdentity": spec.holder_identity,
                    "leaseDurationSeconds": spec.lease_duration_seconds,
                    "leaseTransitions": spec.lease_transitions,
                    "renewTime": _micro(spec.renew_time),
                    "acquireTime": _micro(spec.acquire_time),
                },
            }
        )
        method = "POST" if known is None else "PUT"
        self._connection.request(method, where, body=body)
        return _told(spec)


def _spec(known: _Lease | None, holder: str, within: timedelta, now: datetime) -> _Spec:
    """Kubernetes counts whole seconds: of a shorter time the rest is said to have passed."""
    whole_s = max(1, ceil(within.total_seconds()))
    renewed = now - (timedelta(seconds=whole_s) - within)
    before = known.spec if known else _Spec()
    again = before.holder_identity == holder
    transitions = before.lease_transitions or 0
    return _Spec(
        holder_identity=holder,
        lease_duration_seconds=whole_s,
        renew_time=renewed,
        acquire_time=before.acquire_time if again and before.acquire_time else now,
        lease_transitions=transitions if again or known is None else transitions + 1,
    )


def _told(spec: _Spec) -> Lease:
    return Lease(
        holder=spec.holder_identity or "",
        epoch=(spec.lease_transitions or 0) + 1,
        expires_at=_ends(spec),
    )


def _lasts(spec: _Spec) -> timedelta:
    return timedelta(seconds=spec.lease_duration_seconds or 0)


def _ends(spec: _Spec) -> datetime:
    return (spec.renew_time or _LONG_AGO) + _lasts(spec)


def _servers_now(answer: Answer) -> datetime:
    """Our own clock where it is about right, for its fractions; else the server's."""
    own = datetime.now(UTC)
    if answer.date is None or abs(own - answer.date) <= _NEAR:
        return own
    return answer.date


def _micro(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
