"""What people see of the routes: what each application was told, and what Envoy makes of it."""

from collections.abc import Mapping, Sequence

from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.contracts.routes import Endpoint
from midstage.gateway.model.apps import App, Refused


class EndpointAnswer(TypedDict):
    """One replica; ``way`` is serving, draining or drained, as Envoy says."""

    pod: str
    address: str
    way: str
    active: int
    cluster: str
    revision: str


class RouteAnswer(TypedDict):
    """One application; ``spec_version`` 0: people's own. Neither prefix nor hosts: nobody's."""

    app: str
    spec_version: int
    prefix: str
    hosts: list[str]
    timeout_s: float
    on_throttle_failure: str
    readiness_path: str
    endpoints: list[EndpointAnswer]


class RefusedAnswer(TypedDict):
    """An application that is not routed as it was asked for."""

    app: str
    reason: str


class RoutesAnswer(TypedDict):
    """``envoy``: whether it answers; while it does not, no endpoint is known."""

    edge: str
    envoy: bool
    apps: list[RouteAnswer]
    refused: list[RefusedAnswer]


def shown(
    *,
    edge: str,
    in_force: Mapping[str, App],
    endpoints: Mapping[str, Sequence[Endpoint]] | None,
    refused: Sequence[Refused],
) -> RoutesAnswer:
    """As the API answers it; ``endpoints`` by application, None while Envoy does not answer."""
    known = endpoints or {}
    return {
        "edge": edge,
        "envoy": endpoints is not None,
        "apps": [_route(app, known.get(name, ())) for name, app in sorted(in_force.items())],
        "refused": [{"app": one.app, "reason": one.reason} for one in refused],
    }


def _route(app: App, endpoints: Sequence[Endpoint]) -> RouteAnswer:
    return {
        "app": app.name,
        "spec_version": app.version,
        "prefix": app.prefix,
        "hosts": list(app.hosts),
        "timeout_s": app.timeout_s,
        "on_throttle_failure": app.on_throttle_failure.value,
        "readiness_path": app.readiness_path,
        "endpoints": [
            {
                "pod": one.pod,
                "address": one.address,
                "way": one.way.value,
                "active": one.active,
                "cluster": one.cluster,
                "revision": one.revision,
            }
            for one in endpoints
        ],
    }
