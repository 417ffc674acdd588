"""Custom and external metrics, from the APIs that a HorizontalPodAutoscaler asks, as it asks them.

A cluster has them where an adapter serves them. What is not served, not answered, empty or no
figure is unavailable, never 0. Paths and parameters are those of k8s.io/metrics' clients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec

from midstage.cluster.kubernetes import names
from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import CUSTOM_METRICS, EXTERNAL_METRICS, Discovery
from midstage.cluster.kubernetes.quantities import quantity
from midstage.cluster.kubernetes.shapes import Shape
from midstage.contracts.autoscaling import Described, Identifier
from midstage.contracts.errors import RefusedError, UnavailableError, UnreadableError
from midstage.contracts.signals import selected

_NAMESPACE: Final = "Namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A ``value``, or one of each pod; ``at``: the oldest time that the adapter says, if any."""

    value: float | None = None
    by_pod: Mapping[str, float]
    at: datetime | None


class _Object(Shape, frozen=True, kw_only=True):
    name: str = ""


class _Item(Shape, frozen=True, kw_only=True, rename="camel"):
    value: str
    timestamp: datetime | None = None
    described_object: _Object | None = None


class _Items(Shape, frozen=True, kw_only=True):
    items: tuple[_Item, ...] | None = None


class _Resource(Shape, frozen=True, kw_only=True):
    name: str
    kind: str


class _Resources(Shape, frozen=True, kw_only=True):
    resources: tuple[_Resource, ...] | None = None


_ITEMS = msgspec.json.Decoder(_Items)
_RESOURCES = msgspec.json.Decoder(_Resources)


class Measures:
    """Asks one cluster; each question raises UnavailableError where there is no figure."""

    def __init__(self, *, name: str, where: str, namespace: str) -> None:
        """Nothing is read or connected yet; ``where`` as in ``Connection``."""
        self.name = name
        self._connection = Connection(name=name, where=where)
        self._discovery = Discovery(self._connection)
        self._namespace = namespace
        self._plurals: dict[Described, str] = {}

    def of_pods(self, metric: Identifier, *, app: str) -> Measured:
        """The value of each pod of an application, by its name."""
        query = {"labelSelector": f"{names.APP}={app}", **_series(metric, "metricLabelSelector")}
        items = self._asked(f"{self._custom()}/pods/*/{_step(metric.name)}", query)
        by_pod = {
            each.described_object.name: _figure(each)
            for each in items
            if each.described_object is not None and each.described_object.name
        }
        if not by_pod:
            raise UnavailableError(f"{self.name} has {metric.name} of no pod of {app}")
        return Measured(by_pod=by_pod, at=_oldest(items))

    def of_object(self, metric: Identifier, described: Described) -> Measured:
        """The value of an object of the namespace, or of a namespace."""
        name, of = _step(described.name), _step(metric.name)
        if described.kind == _NAMESPACE and _group(described) == "":
            path = f"/apis/{self._discovery.api_version(CUSTOM_METRICS)}/namespaces/{name}/metrics"
        else:
            path = f"{self._custom()}/{self._plural(described)}/{name}"
        items = self._asked(f"{path}/{of}", _series(metric, "metricLabelSelector"))
        if len(items) != 1:
            raise UnavailableError(f"{self.name} has {len(items)} values of {metric.name}, not one")
        return Measured(value=_figure(items[0]), by_pod={}, at=_oldest(items))

    def external(self, metric: Identifier) -> Measured:
        """The sum of the values of all series that are meant."""
        version = self._discovery.api_version(EXTERNAL_METRICS)
        path = f"/apis/{version}/namespaces/{_step(self._namespace)}/{_step(metric.name)}"
        items = self._asked(path, _series(metric, "labelSelector"))
        if not items:
            raise UnavailableError(f"{self.name} has no series of {metric.name}")
        return Measured(value=sum(map(_figure, items)), by_pod={}, at=_oldest(items))

    def close(self) -> None:
        """Let go of all connections."""
        self._connection.close()

    def _custom(self) -> str:
        version = self._discovery.api_version(CUSTOM_METRICS)
        return f"/apis/{version}/namespaces/{_step(self._namespace)}"

    def _asked(self, path: str, query: Mapping[str, str]) -> Sequence[_Item]:
        try:
            answer = self._connection.request("GET", path, query=query)
        except RefusedError as e:
            raise UnavailableError(f"{self.name} does not say {path}: {e}") from e
        return self._connection.decoded(answer, _ITEMS).items or ()

    def _plural(self, described: Described) -> str:
        """As paths name its kind: ``services``, ``ingresses.networking.k8s.io``; asked once."""
        of = Described(kind=described.kind, name="-", api_version=described.api_version)
        if of not in self._plurals:
            version = described.api_version or "v1"
            path = f"/apis/{version}" if "/" in version else f"/api/{version}"
            try:
                told = self._connection.decoded(self._connection.request("GET", path), _RESOURCES)
            except RefusedError as e:
                raise UnavailableError(f"{self.name} does not serve {version}: {e}") from e
            found = [
                each.name
                for each in told.resources or ()
                if each.kind == described.kind and "/" not in each.name
            ]
            if not found:
                raise UnavailableError(f"{self.name} serves no {described.kind} in {version}")
            self._plurals[of] = ".".join(filter(None, (found[0], _group(described))))
        return self._plurals[of]


def _group(described: Described) -> str:
    group, slash, _ = described.api_version.rpartition("/")
    return group if slash else ""


def _series(metric: Identifier, parameter: str) -> Mapping[str, str]:
    text = selected(metric)
    return {parameter: text} if text else {}


def _figure(item: _Item) -> float:
    try:
        found = float(quantity(item.value))
    except UnreadableError as e:
        raise UnavailableError(str(e)) from e
    if found < 0:
        raise UnavailableError(f"a value of {item.value} can be no load")
    return found


def _oldest(items: Sequence[_Item]) -> datetime | None:
    return min(
        (each.timestamp for each in items if each.timestamp is not None and each.timestamp.tzinfo),
        default=None,
    )


def _step(text: str) -> str:
    return quote(text, safe="")
