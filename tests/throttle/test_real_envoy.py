"""A real Envoy in front of a whole throttle: what its callers see."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from midstage.contracts import topics
from midstage.testkit.waiting import within
from tests.ports import free_port
from tests.throttle.conftest import Running, memory, running
from tests.throttle.enveloping import HTTP2, TYPES, address, cluster, serving


@pytest.mark.platform
@pytest.mark.slow
def test_callers_are_told_what_is_left_and_refused_with_429(tmp_path: Path) -> None:
    log = memory()
    grpc_port = free_port()
    with (
        running(log, topics.LIMITS, tmp_path, grpc_port=grpc_port) as throttle,
        proxied(tmp_path, grpc_port=grpc_port, replica=throttle.http.base_url.port) as callers,
    ):
        assert call(callers, "bolt").status_code == 200
        throttle.put(
            "acme-chat", amount=1, algorithm={"kind": "token_bucket", "period_s": 100, "burst": 2}
        )
        limited(callers)
        assert observed(throttle) >= 3


def limited(callers: httpx.Client) -> None:
    begun = time.monotonic()
    within(60, lambda: "ratelimit" in call(callers, "acme").headers)
    last, refused = call(callers, "acme"), call(callers, "acme")
    assert [last.status_code, refused.status_code] == [200, 429]
    assert last.headers["ratelimit-policy"] == '"acme-chat";q=2;w=200'
    assert last.headers["ratelimit"].startswith('"acme-chat";r=0;t=')
    assert "retry-after" not in last.headers
    assert refused.headers["ratelimit-policy"] == '"acme-chat";q=2;w=200'
    wait = int(refused.headers["retry-after"])
    assert 100 - (time.monotonic() - begun) - 1 <= wait <= 100
    assert refused.headers["ratelimit"] == f'"acme-chat";r=0;t={wait}'
    assert "ratelimit" not in call(callers, "bolt").headers


def observed(throttle: Running) -> float:
    """Checks that came with a deadline: what the failure rule's clock needs."""
    name = "midstage_throttle_answer_seconds_count "
    lines = throttle.http.get("/metrics").text.splitlines()
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def call(callers: httpx.Client, customer: str) -> httpx.Response:
    return callers.get("/chat", headers={"x-midstage-customer": customer})


@contextmanager
def proxied(directory: Path, *, grpc_port: int, replica: int | None) -> Iterator[httpx.Client]:
    """Callers of an Envoy that asks throttle; any HTTP server on ``replica`` will do behind it."""
    assert replica is not None
    admin, listen = free_port(), free_port()
    bootstrap = config(admin, listen, grpc_port, replica)
    with serving(directory, bootstrap, admin=admin, listen=listen) as callers:
        yield callers


def config(admin: int, listen: int, grpc_port: int, replica: int) -> dict[str, object]:
    actions = [
        {"request_headers": {"header_name": "x-midstage-customer", "descriptor_key": "customer"}},
        {"generic_key": {"descriptor_key": "app", "descriptor_value": "chat"}},
        {"request_headers": {"header_name": "x-request-id", "descriptor_key": "request_id"}},
    ]
    route = {
        "match": {"prefix": "/chat"},
        "route": {"cluster": "replica", "prefix_rewrite": "/healthz"},
    }
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": [route],
        "rate_limits": [{"actions": actions}],
    }
    return {
        "admin": {"address": address(admin)},
        "static_resources": {
            "listeners": [
                {
                    "name": "callers",
                    "address": address(listen),
                    "filter_chains": [{"filters": [manager(host)]}],
                }
            ],
            "clusters": [cluster("replica", replica), {**cluster("throttle", grpc_port), **HTTP2}],
        },
    }


def manager(host: object) -> dict[str, object]:
    limiter = {
        "@type": f"{TYPES}.filters.http.ratelimit.v3.RateLimit",
        "domain": "midstage",
        "timeout": "30s",  # a throttle on a busy machine is not late
        "rate_limit_service": {
            "grpc_service": {"envoy_grpc": {"cluster_name": "throttle"}},
            "transport_api_version": "V3",
        },
    }
    router = {"@type": f"{TYPES}.filters.http.router.v3.Router"}
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": (f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "callers",
            "route_config": {"virtual_hosts": [host]},
            "http_filters": [
                {"name": "envoy.filters.http.ratelimit", "typed_config": limiter},
                {"name": "envoy.filters.http.router", "typed_config": router},
            ],
        },
    }
