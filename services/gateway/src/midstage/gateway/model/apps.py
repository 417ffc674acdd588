"""What Envoy is told: applications with their replicas, and whose key is whose.

Values here are checked (``decide.apps``); names fit into headers, paths and Envoy's stat names.
"""

from dataclasses import dataclass

from midstage.contracts.limits import FailureRule

UNKNOWN_APP = "unknown"
"""The application of a request that no route took."""
THROTTLE_CLUSTER = "midstage-throttle"
READINESS_PATH = "/readyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address to connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        """As ``host:port``."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One address that Envoy knows for an application, and the pod that is there, where one is.

    ``out``: it gets no new requests. ``ending``: by its cluster's word it never will again, unless
    that word is taken back by a fact with a higher ``resource_version``. ``checked``: Envoy asks
    for its readiness too; else it is ready where its cluster says so. ``able``: it could serve.
    """

    endpoint: Endpoint
    out: bool = False
    able: bool = True
    ending: bool = False
    checked: bool = True
    pod: str = ""
    cluster: str = ""
    revision: str = ""
    uid: str = ""
    resource_version: int = 0


Place = tuple[str, Endpoint]
"""One address of one application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Homeless:
    """A pod that is to end before it ever had an address: nothing can be open on it."""

    pod: str
    cluster: str
    revision: str
    uid: str
    resource_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One application: how callers reach it, and its replicas.

    ``prefix`` is a path without a slash at its end (``/chat``); it is cut off before the replica
    sees the request. A request to one of ``hosts`` needs no prefix; with neither nobody reaches it.
    ``version`` is that of its key in ``midstage.apps.v1``; 0: it is people's own, from their file.
    """

    name: str
    prefix: str
    hosts: tuple[str, ...]
    replicas: tuple[Replica, ...]
    on_throttle_failure: FailureRule
    timeout_s: float
    readiness_path: str = READINESS_PATH
    homeless: tuple[Homeless, ...] = ()
    version: int = 0

    @property
    def ways(self) -> tuple[str, ...]:
        """How callers reach it: prefix and hosts; each belongs to one application."""
        return (*((self.prefix,) if self.prefix else ()), *self.hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An application that is not routed as it was asked for, and why."""

    app: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What midstage runs: its applications with the pods that are known of."""

    apps: tuple[App, ...] = ()
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A caller's key, the customer that it stands for, and what people call it, where they do."""

    key: str
    customer: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What stays the same while Envoy runs; paths are absolute.

    ``caller_reader`` and ``usage_reader`` are the texts of programs: who calls, what it used.

    Who asks ``throttle`` waits ``throttle_within_s`` and then goes by the route's failure rule.
    """

    edge: str
    config_dir: str
    request_log: str
    listen: Endpoint
    admin: Endpoint
    throttle: Endpoint
    caller_reader: str
    usage_reader: str
    throttle_within_s: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """What may change at any time."""

    apps: tuple[App, ...] = ()
    keys: tuple[ApiKey, ...] = ()
