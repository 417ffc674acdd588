"""The Service and the disruption budget of each application: made so, and looked at for changes.

They are written with each write of a workload, so that they come and go with it. Between writes
``astray`` tells what somebody has made of them, ``preview`` what the next write would. One of that
name that does not bear our label is somebody else's: it is neither written nor told.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from midstage.cluster.kubernetes import companions, names
from midstage.cluster.kubernetes.companions import Owner
from midstage.cluster.kubernetes.connection import APPLY, Connection
from midstage.cluster.kubernetes.deployments import Deployments
from midstage.cluster.kubernetes.discovery import BUDGETS, SERVICES, Discovery, Resource
from midstage.cluster.kubernetes.drift import drift_of
from midstage.cluster.kubernetes.errors import OwnedError
from midstage.cluster.kubernetes.fields import left_to_others
from midstage.cluster.kubernetes.manifests import Fields
from midstage.cluster.kubernetes.ownership import strangers, without
from midstage.cluster.kubernetes.shapes import OwnedMeta, Shape
from midstage.cluster.objects import FieldChange, Workload
from midstage.cluster.preview import Json, compared
from midstage.contracts.errors import RefusedError
from midstage.contracts.running import Disruption


class _Companion(Shape, frozen=True, kw_only=True):
    metadata: OwnedMeta
    spec: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def is_ours(self) -> bool:
        return (self.metadata.labels or {}).get(names.MANAGED_BY) == names.MIDSTAGE


class _List(Shape, frozen=True, kw_only=True):
    items: tuple[_Companion, ...] = ()


_COMPANION = msgspec.json.Decoder(_Companion)
_LIST = msgspec.json.Decoder(_List)
_NOBODY: Sequence[Owner] = ()


class Accompanying:
    """In one namespace; every method raises as ``Connection.request``."""

    def __init__(
        self,
        connection: Connection,
        discovery: Discovery,
        deployments: Deployments,
        *,
        namespace: str,
    ) -> None:
        """Nothing is asked yet."""
        self._connection = connection
        self._discovery = discovery
        self._deployments = deployments
        self._namespace = namespace

    def put(self, workload: Workload) -> None:
        """Make both so, owned by all Deployments of the application."""
        owners = [
            Owner(name=each.metadata.name, uid=each.metadata.uid)
            for each in self._deployments.of_app(workload.app)
            if each.metadata.deletion_timestamp is None
        ]
        for kind, manifest in self._manifests(workload.app, workload.disruption, owners):
            self._put(kind, workload, manifest)

    def astray(self, wanted: Mapping[str, Disruption | None]) -> Mapping[str, tuple[str, ...]]:
        """As ``Cluster.astray``."""
        live = {kind: self._listed(kind) for kind in (SERVICES, BUDGETS)}
        found = {
            app: tuple(
                told
                for kind, manifest in self._manifests(app, disruption, _NOBODY)
                if manifest is not None
                for told in _strays(kind, live[kind].get(app), manifest)
            )
            for app, disruption in wanted.items()
        }
        return {app: told for app, told in found.items() if told}

    def preview(self, workload: Workload) -> Iterator[FieldChange]:
        """What ``put`` would change of what is there now, asked by dry runs; nothing is done."""
        for kind, manifest in self._manifests(workload.app, workload.disruption, _NOBODY):
            path = self._discovery.path(kind, namespace=self._namespace, name=workload.app)
            live = self._known(path)
            if live is None or live.is_ours:
                before: Json = None if live is None else msgspec.json.decode(live.spec)
                after = self._tried(path, manifest, tolerates=workload.tolerates)
                yield from compared(before, after, at=f"{kind.plural} spec")

    def _tried(self, path: str, manifest: Fields | None, *, tolerates: bool) -> Json:
        """The spec that ``_put`` would leave; None where it would be gone."""
        if manifest is None:
            return None
        applied = self._applied(path, manifest, tolerates=tolerates, dry=True)
        managed = self._connection.decoded(applied, _COMPANION).metadata.managed_fields
        plain: Json = msgspec.json.decode(applied)
        return _spec(plain if tolerates else without(plain, strangers(managed or ())))

    def _manifests(
        self, app: str, disruption: Disruption | None, owners: Sequence[Owner]
    ) -> Iterator[tuple[Resource, Fields | None]]:
        yield SERVICES, companions.service(app, owners, namespace=self._namespace)
        if disruption is None:
            yield BUDGETS, None
        else:
            yield BUDGETS, companions.budget(app, disruption, owners, namespace=self._namespace)

    def _put(self, kind: Resource, workload: Workload, manifest: Fields | None) -> None:
        """Make it so, or make it go."""
        path = self._discovery.path(kind, namespace=self._namespace, name=workload.app)
        known = self._known(path)
        if known is not None and not known.is_ours:
            return
        if manifest is not None:
            applied = self._applied(path, manifest, tolerates=workload.tolerates)
            if not workload.tolerates:
                self._cleaned(path, applied)
        elif known is not None:
            body = msgspec.json.encode({"preconditions": {"uid": known.metadata.uid}})
            self._connection.request("DELETE", path, body=body)

    def _applied(self, path: str, manifest: Fields, *, tolerates: bool, dry: bool = False) -> bytes:
        """Forced; or, where strangers are tolerated, without the fields that are theirs."""
        try:
            return self._apply(path, manifest, force=not tolerates, dry=dry)
        except OwnedError as e:
            return self._apply(path, left_to_others(manifest, e.fields), force=False, dry=dry)

    def _apply(self, path: str, manifest: Fields, *, force: bool, dry: bool) -> bytes:
        query = {"fieldManager": names.DEPLOY_MANAGER, "force": "true" if force else "false"}
        return self._connection.request(
            "PATCH",
            path,
            query={**query, "dryRun": "All"} if dry else query,
            body=msgspec.json.encode(manifest),
            content_type=APPLY,
        )

    def _cleaned(self, path: str, body: bytes) -> None:
        """Without what strangers have added beside ours, which applying leaves there."""
        managed = self._connection.decoded(body, _COMPANION).metadata.managed_fields or ()
        if theirs := strangers(managed):
            plain: Json = msgspec.json.decode(body)
            self._connection.request(
                "PUT",
                path,
                query={"fieldManager": names.DEPLOY_MANAGER},
                body=msgspec.json.encode(without(plain, theirs)),
            )

    def _known(self, path: str) -> _Companion | None:
        try:
            return self._connection.decoded(self._connection.request("GET", path), _COMPANION)
        except RefusedError as e:
            if e.status == 404:
                return None
            raise

    def _listed(self, kind: Resource) -> dict[str, _Companion]:
        body = self._connection.request(
            "GET", self._discovery.path(kind, namespace=self._namespace)
        )
        return {each.metadata.name: each for each in self._connection.decoded(body, _LIST).items}


def _spec(plain: Json) -> Json:
    return plain.get("spec") if isinstance(plain, Mapping) else None


def _strays(kind: Resource, live: _Companion | None, manifest: Fields) -> Iterator[str]:
    """Whose doing it is where Kubernetes knows; of what was taken away nobody does."""
    if live is None or live.metadata.deletion_timestamp is not None:
        yield f"unknown: {kind.plural} deleted"
        return
    if not live.is_ours:
        return
    set_ = drift_of(live.metadata.managed_fields)
    for told in set_:
        who, _, path = told.partition(": ")
        yield f"{who}: {kind.plural} {path}"
    if not set_:
        lost = compared(manifest["spec"], msgspec.json.decode(live.spec), at="spec")
        yield from (f"unknown: {kind.plural} {each.path}" for each in lost if each.before)
