"""A namespace of a real Kubernetes in which a test makes pods, and looks at them."""

import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from midstage.cluster.kubernetes.connection import APPLY, Connection
from midstage.cluster.kubernetes.lines import lines
from midstage.contracts.errors import RefusedError
from midstage.testkit.waiting import within

PROGRAM = Path(__file__).parent.parent / "cluster" / "program.py"
WITHIN_S = 90.0

Json = Mapping[str, object]


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a test looks at of an object."""


class Meta(Shape, frozen=True, kw_only=True):
    name: str
    uid: str = ""
    resource_version: str = ""
    annotations: dict[str, str] = {}
    deletion_timestamp: datetime | None = None


class Waiting(Shape, frozen=True, kw_only=True):
    reason: str = ""
    message: str = ""


class Ended(Shape, frozen=True, kw_only=True):
    exit_code: int = 0
    reason: str = ""
    message: str = ""


class Runs(Shape, frozen=True, kw_only=True):
    started_at: datetime


class State(Shape, frozen=True, kw_only=True):
    waiting: Waiting | None = None
    running: Runs | None = None
    terminated: Ended | None = None


class Container(Shape, frozen=True, kw_only=True):
    ready: bool
    restart_count: int
    state: State
    last_state: State


class Condition(Shape, frozen=True, kw_only=True):
    type: str
    status: str
    message: str = ""


class Status(Shape, frozen=True, kw_only=True):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[Container, ...] = ()


class Spec(Shape, frozen=True, kw_only=True):
    node_name: str = ""


class Pod(Shape, frozen=True, kw_only=True):
    metadata: Meta
    spec: Spec
    status: Status = Status()

    @property
    def container(self) -> Container:
        (only,) = self.status.container_statuses
        return only

    @property
    def ready(self) -> bool:
        return ("Ready", "True") in {(each.type, each.status) for each in self.status.conditions}

    @property
    def unready(self) -> str:
        """What is told while it is not ready; a node that was late takes Ready without a word."""
        not_ready = ("Ready", "False")
        return "".join(
            each.message for each in self.status.conditions if (each.type, each.status) == not_ready
        )

    @property
    def address(self) -> str:
        return self.metadata.annotations.get("midstage.dev/address", "")

    @property
    def restarts(self) -> int:
        return self.container.restart_count if self.status.container_statuses else 0

    @property
    def waiting(self) -> Waiting:
        told = self.status.container_statuses
        return (told[0].state.waiting if told else None) or Waiting()

    @property
    def ended(self) -> Ended:
        told = self.status.container_statuses
        return (told[0].last_state.terminated if told else None) or Ended()


class Pods(Shape, frozen=True, kw_only=True):
    items: tuple[Pod, ...]


class Event(Shape, frozen=True, kw_only=True):
    object: Pod


def serves(kind: str = "serve", **more: object) -> Json:
    """A container that runs the program of the cluster's own tests."""
    return {"command": [sys.executable, "-S", str(PROGRAM), kind], **more}


PATIENT = {"periodSeconds": 1, "timeoutSeconds": 60}
"""Probes that fail where they are told to, and not where the machine is busy."""


def get(path: str, **more: int) -> Json:
    return {"httpGet": {"path": path, "port": 8080}, **PATIENT, **more}


def script(text: str, **more: int) -> Json:
    return {"exec": {"command": ["/bin/sh", "-c", text]}, **PATIENT, **more}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One namespace."""

    connection: Connection
    namespace: str = field(default_factory=lambda: f"kubelet-{uuid.uuid4().hex[:8]}")

    def begin(self) -> None:
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        within(WITHIN_S, lambda: self.there("serviceaccounts/default"), every=0.1)

    def end(self) -> None:
        self.ask("DELETE", f"/api/v1/namespaces/{self.namespace}")

    def ask(self, method: str, path: str, body: object = None, *, kind: str | None = None) -> bytes:
        return self.connection.request(
            method,
            path,
            body=None if body is None else msgspec.json.encode(body),
            content_type=kind or "application/json",
        )

    def there(self, path: str) -> bool:
        try:
            self.ask("GET", f"/api/v1/namespaces/{self.namespace}/{path}")
        except RefusedError:
            return False
        return True

    def put(self, path: str, body: Json) -> None:
        self.ask("PATCH", f"{path}?fieldManager=test&force=true", body, kind=APPLY)

    def pod(self, name: str, container: Json, *, grace_s: int = 2, **spec: object) -> None:
        """Make a pod of one container, bound by the scheduler."""
        only = {
            "name": "main",
            "image": "midstage/process:1",
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}},
            **container,
        }
        asked = {"terminationGracePeriodSeconds": grace_s, "containers": [only], **spec}
        body = {"metadata": {"name": name, "labels": {"app": name}}, "spec": asked}
        self.ask("POST", f"/api/v1/namespaces/{self.namespace}/pods", body)

    def seen(self, name: str) -> Pod:
        """The pod as it is now."""
        body = self.ask("GET", f"/api/v1/namespaces/{self.namespace}/pods/{name}")
        return msgspec.json.decode(body, type=Pod)

    def pods(self) -> tuple[Pod, ...]:
        body = self.ask("GET", f"/api/v1/namespaces/{self.namespace}/pods")
        return msgspec.json.decode(body, type=Pods).items

    def ready(self, name: str, *, restarts: int = 0) -> Pod:
        """Wait until it is ready after so many restarts, or more."""

        def found() -> Pod | None:
            pod = self.seen(name)
            return pod if pod.ready and pod.restarts >= restarts else None

        pod = within(WITHIN_S, found, every=0.1)
        assert pod is not None
        return pod

    def waits(self, name: str, reason: str) -> Pod:
        """Wait until it waits for that reason."""

        def found() -> Pod | None:
            pod = self.seen(name)
            return pod if pod.waiting.reason == reason else None

        pod = within(WITHIN_S, found, every=0.05)
        assert pod is not None
        return pod

    def past(self, name: str, *, since: Pod, until: Pod) -> list[Pod]:
        """All that it was after ``since``, up to ``until``."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": since.metadata.resource_version,
        }
        found: list[Pod] = []
        with self.connection.stream(path, query=query, silent_s=WITHIN_S) as stream:
            for line in lines(stream.pieces):
                found.append(msgspec.json.decode(line, type=Event).object)
                if found[-1].metadata.resource_version == until.metadata.resource_version:
                    break
        return found

    def delete(self, name: str) -> None:
        self.ask("DELETE", f"/api/v1/namespaces/{self.namespace}/pods/{name}")

    def gone(self, name: str) -> bool:
        return not self.there(f"pods/{name}")

    def log(self, name: str, query: str = "") -> str:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/log?{query}"
        return self.ask("GET", path).decode()
