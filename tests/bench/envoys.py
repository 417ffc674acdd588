"""Envoy three ways: bare, with the gateway's own configuration, and with that minus throttle.

All run the same binary with the same number of workers in front of the same replica. The
configuration is what ``midstage.gateway`` writes; only for "without throttle" its two rate-limit
filters are taken out.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import msgspec

from midstage.contracts.limits import FailureRule
from midstage.gateway.adapters import logfiles
from midstage.gateway.adapters.envoy import command
from midstage.gateway.model.apps import ApiKey, App, Endpoint, Replica, Routing, Setup
from midstage.gateway.views.bootstrap import BOOTSTRAP, LISTENERS
from midstage.gateway.views.shapes import Json, Object, address, extension, typed
from midstage.gateway.views.watched import steps
from midstage.local import envoy
from midstage.local.ports import LOOPBACK, found
from tests.bench.callers import API_KEY
from tests.bench.children import await_ready, running

APP, CUSTOMER = "chat", "customer-01"
PATH = f"/{APP}/v1/chat/completions"
_FILTERS = "envoy.extensions.filters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """An Envoy that runs: where callers reach it, and its admin address."""

    port: int
    admin_port: int


@contextlib.contextmanager
def gateway(*, replica: int, throttle: int | None, directory: Path) -> Iterator[Front]:
    """Envoy as the gateway has it; ``throttle`` None takes the rate-limit filters out."""
    port, admin_port = found(2)
    setup = Setup(
        edge="edge-1",
        config_dir=str(directory),
        request_log=str(directory / "log" / logfiles.CURRENT),
        listen=Endpoint(host=LOOPBACK, port=port),
        admin=Endpoint(host=LOOPBACK, port=admin_port),
        throttle=Endpoint(host=LOOPBACK, port=throttle or replica),
        caller_reader=_program("caller"),
        usage_reader=_program("usage"),
    )
    directory.mkdir(parents=True)
    for name, content in steps(setup, before=Routing(), after=_routing(replica)):
        whole = throttle is not None or name != LISTENERS
        (directory / name).write_bytes(content if whole else _unlimited(content))
    logfiles.begin(directory / "log", datetime.now(UTC))
    with _running(directory, admin_port):
        yield Front(port=port, admin_port=admin_port)


@contextlib.contextmanager
def bare(*, replica: int, directory: Path) -> Iterator[Front]:
    """Envoy with one listener, one route and one cluster, and nothing else."""
    port, admin_port = found(2)
    directory.mkdir(parents=True)
    at = Endpoint(host=LOOPBACK, port=admin_port)
    content = msgspec.json.encode(
        {
            "admin": {"address": address(at)},
            "static_resources": {
                "listeners": [_listener(port)],
                "clusters": [_cluster(replica)],
            },
        }
    )
    (directory / BOOTSTRAP).write_bytes(content)
    with _running(directory, admin_port):
        yield Front(port=port, admin_port=admin_port)


@contextlib.contextmanager
def _running(directory: Path, admin_port: int) -> Iterator[None]:
    log = directory / "envoy.log"
    with running(command(binary=envoy.binary(), config_dir=directory), log=log) as child:
        await_ready(lambda: envoy.unready(admin_port), child=child, log=log)
        yield


def _routing(replica: int) -> Routing:
    app = App(
        name=APP,
        prefix=f"/{APP}",
        hosts=(),
        replicas=(Replica(endpoint=Endpoint(host=LOOPBACK, port=replica)),),
        on_throttle_failure=FailureRule.OPEN,
        timeout_s=30.0,
    )
    return Routing(apps=(app,), keys=(ApiKey(key=API_KEY, customer=CUSTOMER),))


def _unlimited(listeners: bytes) -> bytes:
    """The same listener without its rate-limit filters."""
    content = msgspec.json.decode(listeners)
    [manager] = content["resources"][0]["filter_chains"][0]["filters"]
    filters = manager["typed_config"]["http_filters"]
    kept = [each for each in filters if not each["name"].startswith("midstage.ratelimit")]
    if len(kept) == len(filters):
        raise RuntimeError("the gateway's listener has no filter named midstage.ratelimit")
    manager["typed_config"]["http_filters"] = kept
    return msgspec.json.encode(content)


def _program(name: str) -> str:
    return (resources.files("midstage.gateway.adapters") / f"{name}.lua").read_text()


def _listener(port: int) -> Object:
    routes: list[Json] = [{"match": {"prefix": "/"}, "route": {"cluster": APP}}]
    manager = extension(
        "envoy.filters.network.http_connection_manager",
        f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bare",
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        http_filters=[
            {"name": "router", "typed_config": typed(f"{_FILTERS}.http.router.v3.Router")}
        ],
    )
    return {
        "address": address(Endpoint(host=LOOPBACK, port=port)),
        "filter_chains": [{"filters": [manager]}],
    }


def _cluster(replica: int) -> Object:
    at: Json = {"endpoint": {"address": address(Endpoint(host=LOOPBACK, port=replica))}}
    return {
        "name": APP,
        "type": "STATIC",
        "load_assignment": {"cluster_name": APP, "endpoints": [{"lb_endpoints": [at]}]},
    }
