"""A namespace of a real Kubernetes, who writes there, and a person with kubectl."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import Discovery
from midstage.cluster.kubernetes.ownership import owned
from midstage.cluster.kubernetes.previewing import Previewer
from midstage.cluster.kubernetes.writing import Writer
from midstage.cluster.objects import Template, Workload
from midstage.contracts.cluster import Amount
from midstage.testkit.waiting import within

REPLICAS = ("f:spec", "f:replicas")
STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(kw_only=True)
class Site:
    """A namespace, who writes there, and a person with kubectl."""

    connection: Connection
    namespace: str
    dies_at: str = ""
    places: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        discovery = Discovery(self.connection)
        self.writer = Writer(
            self.connection, discovery, namespace=self.namespace, reached=self.reached
        )
        self.previewer = Previewer(
            self.connection, discovery, self.writer, namespace=self.namespace
        )

    def reached(self, place: str) -> None:
        self.places.append(place)
        if place == self.dies_at:
            raise KilledError

    def workload(self, replicas: int = 3, **other: Any) -> Workload:
        """One whose pods fit nowhere: nothing runs."""
        found: dict[str, Any] = {
            "name": "ocr-1",
            "namespace": self.namespace,
            "app": "ocr",
            "revision": "1",
            "template": Template(
                command=("serve",),
                env={"A": "1"},
                requests=Amount(cpu=0.1, memory_mb=64),
                node_selector={"is": "nowhere"},
            ),
            "replicas": replicas,
            "spec_version": 7,
            "scale_version": 3,
        }
        return Workload(**{**found, **other})

    def put(self, workload: Workload) -> Workload:
        return self.writer.put_workload(workload, expected=self.version(workload.name))

    def version(self, name: str = "ocr-1") -> int:
        live = self.writer.deployments.get(name)
        return live.version if live else 0

    def live(self, name: str = "ocr-1") -> Any:
        return self.ask("GET", f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}")

    def settled(self) -> Any:
        """When the cluster has told all that it has to tell."""

        def quiet() -> bool:
            live = self.live()
            return bool(live["status"].get("observedGeneration") == live["metadata"]["generation"])

        within(60, quiet)
        return self.live()

    def by_hand(self, patch: Mapping[str, object]) -> None:
        self.ask(
            "PATCH",
            f"/apis/apps/v1/namespaces/{self.namespace}/deployments/ocr-1?fieldManager=kubectl",
            patch,
            STRATEGIC,
        )

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        sent = None if body is None else msgspec.json.encode(body)
        answer = self.connection.request(method, path, body=sent, content_type=content_type)
        return msgspec.json.decode(answer)

    def found(self, plural: str, group: str = "/api/v1") -> Sequence[str]:
        told = self.ask("GET", f"{group}/namespaces/{self.namespace}/{plural}")
        return [each["metadata"]["name"] for each in told["items"]]

    def owners_of_the_count(self) -> set[str]:
        live = self.writer.deployments.get("ocr-1")
        assert live is not None
        managed = live.deployment.metadata.managed_fields or ()
        return {each.manager for each in managed if REPLICAS in owned(managed, each.manager)}


class KilledError(Exception):
    """The process died here."""
