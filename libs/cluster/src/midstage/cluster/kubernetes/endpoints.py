"""A slice of endpoints of Kubernetes as midstage tells it. Pure."""

from midstage.cluster.kubernetes import names, shapes
from midstage.cluster.objects import Endpoints
from midstage.contracts.cluster import EndpointState

_SERVICE = "kubernetes.io/service-name"


def endpoints_of(told: shapes.EndpointSlice) -> Endpoints:
    """The slice, each endpoint by its first address and the port called http (else the first)."""
    meta, labels = told.metadata, told.metadata.labels or {}
    port = _port(told)
    return Endpoints(
        name=meta.name,
        namespace=meta.namespace,
        app=labels.get(names.APP, ""),
        service=labels.get(_SERVICE, ""),
        endpoints=tuple(_state(each, port) for each in told.endpoints or () if each.addresses),
        uid=meta.uid,
        resource_version=int(meta.resource_version),
    )


def _port(told: shapes.EndpointSlice) -> int:
    ports = told.ports or ()
    named = (each.port for each in ports if each.name == names.PORT_NAME)
    return next(named, ports[0].port if ports else None) or 0


def _state(endpoint: shapes.SliceEndpoint, port: int) -> EndpointState:
    said = endpoint.conditions
    host = endpoint.addresses[0]
    ready = said.ready is not False
    target = endpoint.target_ref
    return EndpointState(
        address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        ready=ready,
        serving=ready if said.serving is None else said.serving,
        terminating=bool(said.terminating),
        pod=target.name if target and target.kind == "Pod" else "",
        node=endpoint.node_name or "",
    )
