"""What Envoy is told: applications with their replicas, and whose key is whose.

Values here are checked (``decide.apps``); names fit into headers, paths and Envoy's stat names.
"""

from dataclasses import dataclass

from midstage.contracts.limits import FailureRule

UNKNOWN_APP = "unknown"
"""The application of a request that no route took."""
THROTTLE_CLUSTER = "midstage-throttle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address to connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        """As ``host:port``."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One application: how callers reach it, and its replicas.

    ``prefix`` is a path without a slash at its end (``/chat``); it is cut off before the replica
    sees the request. A request to one of ``hosts`` needs no prefix.
    """

    name: str
    prefix: str
    hosts: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    on_throttle_failure: FailureRule
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A caller's key and the customer that it stands for."""

    key: str
    customer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What stays the same while Envoy runs; paths are absolute, ``lua`` is a program's text."""

    edge: str
    config_dir: str
    request_log: str
    listen: Endpoint
    admin: Endpoint
    throttle: Endpoint
    usage_reader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """What may change at any time."""

    apps: tuple[App, ...] = ()
    keys: tuple[ApiKey, ...] = ()
