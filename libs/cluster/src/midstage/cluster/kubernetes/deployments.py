"""The Deployments of one namespace as they are now and as they were, and how they are changed.

Each change names the resource version that it was decided on. Kubernetes gives a new one with each
change of the status, too, so a change that meets another version looks again: it goes on where
nothing was changed that somebody writes, and else conflicts.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from midstage.cluster.kubernetes import names
from midstage.cluster.kubernetes.connection import APPLY, Connection, Query
from midstage.cluster.kubernetes.discovery import DEPLOYMENTS, Discovery
from midstage.cluster.kubernetes.errors import OwnedError
from midstage.cluster.kubernetes.manifests import Fields
from midstage.cluster.kubernetes.shapes import OwnedMeta, Shape
from midstage.cluster.kubernetes.shapes_workload import Deployment
from midstage.cluster.preview import Json
from midstage.cluster.protocol import ConflictError, ExpiredError
from midstage.contracts.errors import RefusedError, UnavailableError

_TIMES = 10
_OURS = "midstage.dev/"


class Live(NamedTuple):
    """A Deployment: what is read of it, and all of it as bytes."""

    deployment: Deployment
    body: bytes

    @property
    def version(self) -> int:
        """Its resource version."""
        return int(self.deployment.metadata.resource_version)

    def plain(self) -> Mapping[str, Json]:
        """All of it as JSON values."""
        plain: Mapping[str, Json] = msgspec.json.decode(self.body)
        return plain


class _Written(Shape, frozen=True, kw_only=True):
    """What somebody writes, as opposed to what the cluster tells."""

    metadata: OwnedMeta
    spec: msgspec.Raw


class _List(Shape, frozen=True, kw_only=True):
    items: tuple[msgspec.Raw, ...] = ()


_DEPLOYMENT = msgspec.json.Decoder(Deployment)
_WRITTEN = msgspec.json.Decoder(_Written)
_LIST = msgspec.json.Decoder(_List)


class Deployments:
    """Of ``namespace``; every method raises as ``Connection.request``."""

    def __init__(self, connection: Connection, discovery: Discovery, namespace: str) -> None:
        """Nothing is asked yet."""
        self._connection = connection
        self._discovery = discovery
        self._namespace = namespace

    def get(self, name: str) -> Live | None:
        """As it is now; None where there is none."""
        try:
            return self._live(self._connection.request("GET", self._path(name)))
        except RefusedError as e:
            if e.status == 404:
                return None
            raise

    def of_app(self, app: str) -> list[Deployment]:
        """All that are labelled as the application's and ours."""
        selector = f"{names.APP}={app},{names.MANAGED_BY}={names.MIDSTAGE}"
        return [each.deployment for each in self._list({"labelSelector": selector})]

    def expect(self, live: Live, expected: int) -> None:
        """ConflictError unless it is still what it was at resource version ``expected``."""
        name = live.deployment.metadata.name
        if live.version == expected:
            return
        if not 0 < expected < live.version or not self._same_at(live, expected):
            raise ConflictError(
                f"workload {name} is at resource version {live.version}, not {expected}: read again"
            )

    def apply(
        self, manifest: Fields, *, manager: str, on: Live | None, force: bool, dry: bool = False
    ) -> Live:
        """Apply; on ``None`` it is created. OwnedError names fields of others where not forced."""
        query: Query = {
            "fieldManager": manager,
            "force": "true" if force else "false",
            **({"dryRun": "All"} if dry else {}),
        }

        def patch(live: Live | None) -> bytes:
            body = msgspec.json.encode(_at(manifest, live))
            return self._connection.request(
                "PATCH", self._path(_name(manifest)), query=query, body=body, content_type=APPLY
            )

        return self._live(patch(None) if on is None else self._insisted(on, patch))

    def replace(self, changed: Callable[[Live], Mapping[str, Json]], *, on: Live) -> Live:
        """Write all of it, as ``changed`` makes it from what is there."""

        def put(live: Live) -> bytes:
            return self._connection.request(
                "PUT",
                self._path(live.deployment.metadata.name),
                query={"fieldManager": names.DEPLOY_MANAGER},
                body=msgspec.json.encode(changed(live)),
            )

        return self._live(self._insisted(on, put))

    def delete(self, live: Live) -> None:
        """End it and, with their grace, its pods; nothing where it is gone."""

        def delete(now: Live) -> bytes:
            meta = now.deployment.metadata
            options = {
                "propagationPolicy": "Background",
                "preconditions": {"uid": meta.uid, "resourceVersion": meta.resource_version},
            }
            body = msgspec.json.encode(options)
            return self._connection.request("DELETE", self._path(meta.name), body=body)

        try:
            self._insisted(live, delete)
        except RefusedError as e:
            if e.status != 404:
                raise

    def _insisted(self, live: Live, change: Callable[[Live], bytes]) -> bytes:
        """Carried out on what is there, as long as only the cluster itself changes it meanwhile."""
        for _ in range(_TIMES):
            try:
                return change(live)
            except OwnedError:
                raise
            except ConflictError:
                now = self.get(live.deployment.metadata.name)
                if now is None or not _is_same(now, live):
                    raise
                live = now
        raise UnavailableError(f"{live.deployment.metadata.name} changes all the time: try again")

    def _same_at(self, live: Live, version: int) -> bool:
        try:
            then = self._list(
                {
                    "fieldSelector": f"metadata.name={live.deployment.metadata.name}",
                    "resourceVersion": version,
                    "resourceVersionMatch": "Exact",
                }
            )
        except ExpiredError:
            return False
        return len(then) == 1 and _is_same(then[0], live)

    def _list(self, query: Query) -> list[Live]:
        body = self._connection.request("GET", self._path(""), query=query)
        return [self._live(each) for each in self._connection.decoded(body, _LIST).items]

    def _live(self, body: bytes | msgspec.Raw) -> Live:
        known = bytes(body)
        return Live(deployment=self._connection.decoded(known, _DEPLOYMENT), body=known)

    def _path(self, name: str) -> str:
        return self._discovery.path(DEPLOYMENTS, namespace=self._namespace, name=name)


def _is_same(one: Live, other: Live) -> bool:
    """Whether they differ in nothing but what the cluster tells."""
    first, second = _WRITTEN.decode(one.body), _WRITTEN.decode(other.body)
    return _said(first.metadata) == _said(second.metadata) and first.spec == second.spec


def _said(meta: OwnedMeta) -> tuple[object, ...]:
    ours = {k: v for k, v in (meta.annotations or {}).items() if k.startswith(_OURS)}
    return (meta.uid, meta.deletion_timestamp is None, meta.labels, ours)


def _at(manifest: Fields, live: Live | None) -> Fields:
    """The manifest, to be applied on exactly what is there."""
    if live is None:
        return manifest
    metadata = manifest["metadata"]
    assert isinstance(metadata, Mapping)
    version = live.deployment.metadata.resource_version
    return {**manifest, "metadata": {**metadata, "resourceVersion": version}}


def _name(manifest: Fields) -> str:
    metadata = manifest["metadata"]
    assert isinstance(metadata, Mapping)
    return str(metadata["name"])
