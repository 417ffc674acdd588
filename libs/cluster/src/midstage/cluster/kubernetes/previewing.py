"""What a write would change on a Kubernetes cluster, asked of it by dry runs; nothing is done.

Fields differ where the server itself says so: what it fills in by default is on both sides. A pod
of the template is asked for, too, so quotas, limit ranges, pod security, priority classes and
webhooks speak before there is a Deployment whose pods nobody sees fail.
"""

import time
from collections.abc import Iterator, Mapping

import msgspec

from midstage.cluster import preview
from midstage.cluster.kubernetes import manifests, names
from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.deployments import Live
from midstage.cluster.kubernetes.discovery import (
    CLAIMS,
    CONFIGS,
    PODS,
    QUOTAS,
    SECRETS,
    Discovery,
    Resource,
)
from midstage.cluster.kubernetes.errors import OwnedError
from midstage.cluster.kubernetes.manifests import Fields
from midstage.cluster.kubernetes.quota import Quota, exceeded
from midstage.cluster.kubernetes.shapes import Shape
from midstage.cluster.kubernetes.workloads import workload_of
from midstage.cluster.kubernetes.writing import Writer
from midstage.cluster.objects import FieldChange, Preview, Template, Workload
from midstage.cluster.preview import Json
from midstage.cluster.protocol import ConflictError
from midstage.contracts.errors import RefusedError


class _Quotas(Shape, frozen=True, kw_only=True):
    items: tuple[Quota, ...] = ()


class _Keyed(Shape, frozen=True, kw_only=True):
    data: dict[str, msgspec.Raw] | None = None
    binary_data: dict[str, msgspec.Raw] | None = None


_NO_ACCOUNT = "error looking up service account"
_PASSING_WITHIN_S = 3.0
_AGAIN_S = 0.1
"""A namespace has its account a moment after it was made: until then every pod is refused."""
_QUOTAS = msgspec.json.Decoder(_Quotas)
_KEYED = msgspec.json.Decoder(_Keyed)


class Previewer:
    """Asks what a ``writer`` would do."""

    def __init__(
        self,
        connection: Connection,
        discovery: Discovery,
        writer: Writer,
        *,
        namespace: str,
        image: str = names.PROCESS_IMAGE,
    ) -> None:
        """Nothing is asked yet."""
        self._connection = connection
        self._discovery = discovery
        self._writer = writer
        self._namespace = namespace
        self._image = image

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        """As ``Cluster.preview``."""
        live = self._writer.looked_at(workload, expected)
        refusals = dict.fromkeys(self._refusals(workload, live))
        changes: tuple[FieldChange, ...] = ()
        beside: tuple[FieldChange, ...] = ()
        try:
            changes = self._changes(workload, live)
            beside = tuple(self._writer.accompanying.preview(workload))
        except ConflictError:
            raise  # somebody has just changed it: no word of the cluster's about the workload
        except RefusedError as e:
            refusals[str(e)] = None
        conflicts = () if live is None else tuple(self._conflicts(workload, live))
        return Preview(
            changes=changes, beside=beside, conflicts=conflicts, refusals=tuple(refusals)
        )

    def _changes(self, workload: Workload, live: Live | None) -> tuple[FieldChange, ...]:
        if live is None:
            manifest = manifests.created(workload, image=self._image)
            self._dry(manifest, names.DEPLOY_MANAGER, None, force=False)
            return preview.compared({}, _told(manifest))
        manifest = self._versioned(workload, live)
        applied = self._dry(manifest, names.DEPLOY_MANAGER, live, force=True)
        counted = self._dry(manifests.count(workload), names.SCALE_MANAGER, live, force=True)
        before, after = _told(live.plain()), _told(applied.plain())
        spec = after["spec"]
        assert isinstance(spec, Mapping)
        replicas = counted.deployment.spec.replicas
        return preview.compared(before, {**after, "spec": {**spec, "replicas": replicas}})

    def _conflicts(self, workload: Workload, live: Live) -> Iterator[str]:
        """Fields of ours that others have set now, and what they have added."""
        found: dict[str, None] = {}
        for manifest, manager in (
            (self._versioned(workload, live), names.DEPLOY_MANAGER),
            (manifests.count(workload), names.SCALE_MANAGER),
        ):
            try:
                self._dry(manifest, manager, live, force=False)
            except OwnedError as e:
                found.update(dict.fromkeys(e.conflicts))
            except RefusedError:
                continue  # it is among the refusals
        found.update(dict.fromkeys(workload_of(live.deployment).drift))
        own = (f"{names.DEPLOY_MANAGER}: ", f"{names.SCALE_MANAGER}: ")
        return (each for each in found if not each.startswith(own))

    def _refusals(self, workload: Workload, live: Live | None) -> Iterator[str]:
        yield from self._missing(workload.template)
        more = workload.replicas - (live.deployment.spec.replicas if live else 0)
        short = tuple(exceeded(self._quotas(), workload.template, more)) if more > 0 else ()
        yield from short
        words = self._pod_refused(workload) if more > 0 or live is None else ""
        counted = "exceeded quota" in words and (short or more <= 0)
        if words and not counted:
            yield words

    def _pod_refused(self, workload: Workload) -> str:
        """Why a pod of the template would not be taken, in the server's words."""
        path = self._discovery.path(PODS, namespace=self._namespace)
        body = msgspec.json.encode(manifests.pod(workload, image=self._image))
        until = time.monotonic() + _PASSING_WITHIN_S
        while True:
            try:
                self._connection.request("POST", path, query={"dryRun": "All"}, body=body)
            except RefusedError as e:
                # two pods that are counted against one quota at the same moment conflict, too
                passing = isinstance(e, ConflictError) or _NO_ACCOUNT in str(e)
                if not passing or time.monotonic() > until:
                    return str(e)
                time.sleep(_AGAIN_S)
            else:
                return ""

    def _quotas(self) -> tuple[Quota, ...]:
        path = self._discovery.path(QUOTAS, namespace=self._namespace)
        answer = self._connection.request("GET", path)
        return self._connection.decoded(answer, _QUOTAS).items

    def _missing(self, template: Template) -> Iterator[str]:
        """What the template names and the namespace has not."""
        for kind, name, key in sorted(_named(template), key=str):
            path = self._discovery.path(kind, namespace=self._namespace, name=name)
            try:
                found = self._connection.decoded(self._connection.request("GET", path), _KEYED)
            except RefusedError as e:
                if e.status == 404:
                    yield f"there is no {kind.kind} {name}"
                continue  # what may not be looked at may well be there
            if key and key not in {**(found.data or {}), **(found.binary_data or {})}:
                yield f"{kind.kind} {name} has no key {key}"

    def _versioned(self, workload: Workload, live: Live) -> Fields:
        """The manifest with the version that is there, which is no change."""
        there = workload_of(live.deployment).spec_version
        same = msgspec.structs.replace(workload, spec_version=there)
        return manifests.deployment(same, image=self._writer.image_for(live))

    def _dry(self, manifest: Fields, manager: str, live: Live | None, *, force: bool) -> Live:
        return self._writer.deployments.apply(
            manifest, manager=manager, on=live, force=force, dry=True
        )


def _told(manifest: Fields) -> dict[str, Json]:
    """Its spec and labels."""
    metadata = manifest["metadata"]
    assert isinstance(metadata, Mapping)
    return {"spec": manifest["spec"], "labels": metadata.get("labels")}


def _named(template: Template) -> Iterator[tuple[Resource, str, str]]:
    """Every secret, config and claim, with the key that is wanted of it (empty: all of it)."""
    for source in template.env_from.values():
        kind = SECRETS if source.secret else CONFIGS
        yield kind, source.secret or source.config or "", source.key
    for volume in template.volumes:
        if volume.secret or volume.config:
            yield SECRETS if volume.secret else CONFIGS, volume.secret or volume.config or "", ""
        elif volume.claim:
            yield CLAIMS, volume.claim, ""
    for secret in template.pull_secrets:
        yield SECRETS, secret, ""
