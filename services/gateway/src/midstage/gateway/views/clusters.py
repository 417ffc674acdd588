"""Where requests can go: throttle, and each application's replicas (CDS and EDS).

A replica whose readiness fails leaves the balancer within a second and comes back by itself; until
then a request that can't connect goes to another one. How requests end removes no replica (no
outlier detection): else one caller could take it from all others by timeouts or crashes. One that
is out stays in sight as draining: no new requests, and what is open on it is counted and finishes.
"""

from midstage.gateway.model.apps import THROTTLE_CLUSTER, App, Endpoint, Replica
from midstage.gateway.views.bootstrap import endpoints
from midstage.gateway.views.requestlog import METADATA
from midstage.gateway.views.shapes import Object, address, seconds, typed, watched

_MANY = 1_000_000
_BUFFER_BYTES = 1024 * 1024
_PROTOCOL = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_CONNECT_WITHIN_S = 1.0
_LETS_GO_AFTER_S = 3.0
"""Below the keep-alive of usual servers (5 s), so that we never send on what they are closing."""


def throttle(at: Endpoint) -> Object:
    """The rate-limit service, over HTTP/2 as gRPC needs it."""
    return {
        "name": THROTTLE_CLUSTER,
        "type": "STATIC",
        "connect_timeout": seconds(_CONNECT_WITHIN_S),
        "circuit_breakers": _BREAKERS,
        "typed_extension_protocol_options": {
            _PROTOCOL: typed(_PROTOCOL, explicit_http_config={"http2_protocol_options": {}})
        },
        "load_assignment": _assignment(THROTTLE_CLUSTER, (Replica(endpoint=at),)),
    }


def cluster(app: App, config_dir: str) -> Object:
    """One application; its replicas come from a file of its own."""
    return {
        "name": app.name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": watched(f"{config_dir}/{endpoints(app.name)}")},
        "connect_timeout": seconds(_CONNECT_WITHIN_S),
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": _AT_ONCE,
        "ignore_health_on_host_removal": True,
        "per_connection_buffer_limit_bytes": _BUFFER_BYTES,
        "circuit_breakers": _BREAKERS,  # queues live in the replicas, none is reached before them
        "health_checks": [{**_READY, "http_health_check": {"path": app.readiness_path}}],
        "typed_extension_protocol_options": {
            _PROTOCOL: typed(
                _PROTOCOL,
                common_http_protocol_options={"idle_timeout": seconds(_LETS_GO_AFTER_S)},
                explicit_http_config={"http_protocol_options": {"enable_trailers": True}},
            )
        },
    }


def assignment(app: App) -> Object:
    """One application's replicas; none is an answer too."""
    return typed(
        "envoy.config.endpoint.v3.ClusterLoadAssignment", **_assignment(app.name, app.replicas)
    )


def _assignment(name: str, at: tuple[Replica, ...]) -> Object:
    replicas = [_replica(replica) for replica in at]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": replicas}] if replicas else []}


def _replica(replica: Replica) -> Object:
    """Who it is travels with it, so that the request log names whoever answered."""
    named = {
        "pod": replica.pod,
        "revision": replica.revision,
        "cluster": replica.cluster,
    }
    unchecked = {"health_check_config": {"disable_active_health_check": True}}
    return {
        "endpoint": {
            "address": address(replica.endpoint),
            **({} if replica.checked else unchecked),
        },
        **({"health_status": "DRAINING"} if replica.out else {}),
        **({"metadata": {"filter_metadata": {METADATA: named}}} if replica.pod else {}),
    }


_BREAKERS: Object = {
    "thresholds": [
        {
            "max_connections": _MANY,
            "max_pending_requests": _MANY,
            "max_requests": _MANY,
            "max_retries": _MANY,
        }
    ]
}

_AT_ONCE: Object = {
    "healthy_panic_threshold": {"value": 0},
    "update_merge_window": seconds(0),  # else workers hear of who drains up to a second later
}

_READY: Object = {
    "timeout": seconds(2),
    "interval": seconds(0.5),
    "no_traffic_interval": seconds(0.5),
    "unhealthy_edge_interval": seconds(0.25),
    "unhealthy_threshold": 2,
    "healthy_threshold": 1,
}
