"""A throttle with imported rules behind a real Envoy, as their users have it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from midstage.contracts import topics
from midstage.throttle.config import RuleSettings
from tests.ports import free_port
from tests.throttle.conftest import Running, memory, running
from tests.throttle.enveloping import HTTP2, TYPES, address, cluster, serving

RULES = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """Callers of Envoy, and the throttle behind it."""

    callers: httpx.Client
    throttle: Running

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.callers.get(path, headers=headers)

    def statuses(self, times: int, path: str, **headers: str) -> list[int]:
        return [self.get(path, **headers).status_code for _ in range(times)]

    def counted(self, what: str, domain: str, key: str) -> float:
        return sample(self.throttle, f"rule_{what}_total", domain=domain, key=key)


def sample(throttle: Running, name: str, **labels: str) -> float:
    told = ",".join(f'{key}="{value}"' for key, value in labels.items())
    line = f"midstage_throttle_{name}{{{told}}} " if labels else f"midstage_throttle_{name} "
    lines = throttle.http.get("/metrics").text.splitlines()
    return next((float(each.removeprefix(line)) for each in lines if each.startswith(line)), 0.0)


@contextmanager
def ruled(
    directory: Path, files: Mapping[str, str], routes: Sequence[object], *, domain: str
) -> Iterator[Ruled]:
    """Serve ``files`` to an Envoy whose filter asks for ``domain``."""
    folder = directory / RULES
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    log = memory()
    grpc_port = free_port()
    rules = RuleSettings(folder=folder, headers="x-ratelimit", metadata=True)
    with running(log, topics.LIMITS, directory, grpc_port=grpc_port, rules=rules) as throttle:
        replica = throttle.http.base_url.port
        assert replica is not None
        clusters = [cluster("mock", replica), {**cluster("ratelimit", grpc_port), **HTTP2}]
        with enveloped(directory, listener(routes, domain), clusters) as callers:
            yield Ruled(callers=callers, throttle=throttle)


@contextmanager
def enveloped(
    directory: Path, filters: object, clusters: Sequence[object]
) -> Iterator[httpx.Client]:
    admin, listen = free_port(), free_port()
    callers = {
        "name": "callers",
        "address": address(listen),
        "filter_chains": [{"filters": [filters]}],
    }
    bootstrap = {
        "admin": {"address": address(admin)},
        "static_resources": {"listeners": [callers], "clusters": clusters},
    }
    with serving(directory, bootstrap, admin=admin, listen=listen) as client:
        yield client


def listener(routes: Sequence[object], domain: str) -> dict[str, object]:
    limiter = {
        "@type": f"{TYPES}.filters.http.ratelimit.v3.RateLimit",
        "domain": domain,
        "timeout": "30s",  # a throttle on a busy machine is not late
        "failure_mode_deny": True,  # what passes has an answer
        "rate_limit_service": {
            "grpc_service": {"envoy_grpc": {"cluster_name": "ratelimit"}},
            "transport_api_version": "V3",
        },
    }
    chooser = {
        "@type": f"{TYPES}.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": CHOOSER},
    }
    router = {"@type": f"{TYPES}.filters.http.router.v3.Router"}
    manager = f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"
    host = {"name": "backend", "domains": ["*"], "routes": routes}
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": manager,
            "stat_prefix": "ingress",
            "route_config": {"virtual_hosts": [host]},
            "http_filters": [
                {"name": "envoy.filters.http.ratelimit", "typed_config": limiter},
                {"name": "envoy.filters.http.lua", "typed_config": chooser},
                {"name": "envoy.filters.http.router", "typed_config": router},
            ],
        },
    }


CHOOSER = """
-- the first service that is not over its quota, from what throttle told of the descriptors
function envoy_on_request(handle)
  local told = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.ratelimit")
  if told == nil then return end
  local over = {}
  for _, number in ipairs(told["quotaModeViolations"] or {}) do over[number] = true end
  for index, descriptor in ipairs(told["descriptors"]) do
    if not over[index - 1] then
      local service = string.match(descriptor["entries"][1], "^service=(.*)")
      if service then
        handle:headers():replace("x-service", service)
        handle:clearRouteCache()
      end
      return
    end
  end
end
"""


def route(path: str, *limits: Sequence[str]) -> dict[str, object]:
    """A route that sends a descriptor for each of ``limits``, whose entries are headers."""
    return {
        "match": {"prefix": path},
        "route": {
            "cluster": "mock",
            "prefix_rewrite": "/healthz",
            "rate_limits": [{"actions": [header(name) for name in names]} for names in limits],
        },
    }


def header(name: str) -> dict[str, object]:
    return {"request_headers": {"header_name": name, "descriptor_key": name}}


def service(name: str) -> dict[str, object]:
    return {"generic_key": {"descriptor_key": "service", "descriptor_value": name}}


def charged(*limits: Mapping[str, object]) -> dict[str, object]:
    """Limits in the only place where Envoy heeds ``hits_addend`` and ``apply_on_stream_done``."""
    return {
        "typed_per_filter_config": {
            "envoy.filters.http.ratelimit": {
                "@type": f"{TYPES}.filters.http.ratelimit.v3.RateLimitPerRoute",
                "rate_limits": list(limits),
            }
        }
    }
