"""Whether what applications refer to has changed: a fingerprint of each secret and config.

Only their metadata is asked for, so no content is ever read: an object's version changes with it.
"""

from collections.abc import Collection, Mapping

import msgspec

from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import CONFIGS, SECRETS, Discovery
from midstage.cluster.kubernetes.shapes import Meta, Shape
from midstage.cluster.objects import Reference, ReferenceKind
from midstage.contracts.errors import RefusedError

_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_KINDS = {ReferenceKind.SECRET: SECRETS, ReferenceKind.CONFIG: CONFIGS}


class _Partial(Shape, frozen=True, kw_only=True):
    metadata: Meta


_PARTIAL = msgspec.json.Decoder(_Partial)


class References:
    """Secrets and configs of one namespace."""

    def __init__(self, connection: Connection, discovery: Discovery, *, namespace: str) -> None:
        """Ask nothing yet."""
        self._connection = connection
        self._discovery = discovery
        self._namespace = namespace

    def of(self, references: Collection[Reference]) -> Mapping[Reference, str]:
        """As ``Cluster.references``."""
        told = ((each, self._fingerprint(each)) for each in sorted(set(references), key=_order))
        return {each: fingerprint for each, fingerprint in told if fingerprint}

    def _fingerprint(self, reference: Reference) -> str:
        """Empty where it is not there."""
        path = self._discovery.path(
            _KINDS[reference.kind], namespace=self._namespace, name=reference.name
        )
        try:
            body = self._connection.request("GET", path, accept=_METADATA)
        except RefusedError as e:
            if e.status == 404:
                return ""
            raise
        meta = self._connection.decoded(body, _PARTIAL).metadata
        return f"{meta.uid}/{meta.resource_version}"


def _order(reference: Reference) -> tuple[str, str]:
    return reference.kind.value, reference.name
