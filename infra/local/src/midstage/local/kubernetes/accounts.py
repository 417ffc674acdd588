"""The service accounts of control and deploy, with the rights that the manifests give and no more.

The manifests are those that a person applies to a cluster of their own (``infra/kubernetes/rbac``).
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from midstage.cluster.kubernetes.connection import APPLY, Connection
from midstage.local.errors import PlatformError

MANIFESTS = Path(__file__).parents[5] / "kubernetes" / "rbac"
MANAGER = "midstage-local"
VALID_S = 30 * 24 * 3600
"""A token is made anew at each start of the platform."""
_PLURAL = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


class _Metadata(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    namespace: str = "default"


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    metadata: _Metadata


class _Status(msgspec.Struct, frozen=True):
    token: str


class _TokenRequest(msgspec.Struct, frozen=True):
    status: _Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One object to apply; ``body`` is JSON."""

    kind: str
    name: str
    namespace: str
    body: bytes

    @property
    def path(self) -> str:
        """Where the API server has it."""
        return f"{_PLURAL[self.kind].format(namespace=self.namespace)}/{self.name}"


def manifests(folder: Path = MANIFESTS) -> Sequence[Manifest]:
    """What the folder's files say, namespaces first; PlatformError names a file that can't be."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise PlatformError(f"no manifests are in {folder}: run midstage from its checkout")
    found = [each for file in files for each in _read(file)]
    return sorted(found, key=lambda each: list(_PLURAL).index(each.kind))


def granted(kubeconfig: Path, folder: Path = MANIFESTS) -> Mapping[str, str]:
    """Apply the manifests as ``kubeconfig``'s user; a token for each service account, by name."""
    wanted = manifests(folder)
    connection = Connection(name=MANAGER, where=f"kubeconfig:{kubeconfig}")
    with contextlib.closing(connection):
        for each in wanted:
            query = {"fieldManager": MANAGER, "force": "true"}
            connection.request("PATCH", each.path, query=query, body=each.body, content_type=APPLY)
        accounts = [each for each in wanted if each.kind == "ServiceAccount"]
        return {each.name: _token(connection, each) for each in accounts}


def _token(connection: Connection, account: Manifest) -> str:
    body = msgspec.json.encode(
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": VALID_S},
        }
    )
    answer = connection.request("POST", f"{account.path}/token", body=body)
    return msgspec.json.decode(answer, type=_TokenRequest).status.token


def _read(file: Path) -> Iterator[Manifest]:
    try:
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if document is None:
                continue
            head = msgspec.convert(document, _Head)
            if head.kind not in _PLURAL:
                raise PlatformError(f"{file}: {head.kind} is not applied here")
            yield Manifest(
                kind=head.kind,
                name=head.metadata.name,
                namespace=head.metadata.namespace,
                body=msgspec.json.encode(document),
            )
    except (OSError, yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as e:
        raise PlatformError(f"{file} can't be applied: {e}") from e
