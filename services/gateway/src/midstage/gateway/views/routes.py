"""Which request goes to which application (RDS), whose key is whose, and what throttle is asked.

Keys stand here and not in the listener, so that a new or withdrawn key holds at once also for
connections that are open. A request is sent to a replica a second time only where the first
certainly did not get anything: connection not made, or refused as a stream.
"""

from collections.abc import Sequence

from midstage.contracts.limits import FailureRule
from midstage.gateway.model.apps import ApiKey, App, Routing
from midstage.gateway.views.requestlog import METADATA
from midstage.gateway.views.shapes import Json, Object, seconds, typed

ROUTES_NAME = "apps"
API_KEYS_FILTER = "envoy.filters.http.api_key_auth"
CUSTOMER_HEADER = "x-midstage-customer"
KEY_HEADER = "x-midstage-key"
ESTIMATE_HEADER = "x-midstage-estimate-"
ESTIMATED = ("tokens", "input_tokens", "output_tokens", "images", "audio_seconds")
"""Units of which a caller may say what its request will use; ``caller.lua`` checks the headers."""
STAGES = {FailureRule.OPEN: 0, FailureRule.CLOSED: 1}
"""Which rate-limit filter a route's actions name: a failure rule is a filter's, not a route's."""


def route_configuration(routing: Routing) -> Object:
    """All routes: by host, by path prefix (the longest first), and an answer for the rest."""
    by_length = sorted(routing.apps, key=lambda app: (-len(app.prefix), app.name))
    anywhere = [route for app in by_length if app.prefix for route in _by_prefix(app)]
    return typed(
        "envoy.config.route.v3.RouteConfiguration",
        name=ROUTES_NAME,
        ignore_port_in_host_matching=True,
        typed_per_filter_config={API_KEYS_FILTER: api_keys(routing.keys)},
        virtual_hosts=[
            *(_by_host(app) for app in routing.apps if app.hosts),
            {"name": "*", "domains": ["*"], "routes": [*anywhere, _NOBODY]},
        ],
    )


def api_keys(keys: Sequence[ApiKey]) -> Object:
    """Who may call; the key itself goes no further than Envoy."""
    return typed(
        "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute",
        credentials=[{"key": entry.key, "client": _finding(entry)} for entry in keys],
        key_sources=[{"header": "authorization"}],
        forwarding={"header": CUSTOMER_HEADER, "hide_credentials": True},
    )


def _finding(entry: ApiKey) -> str:
    """What the caller reader (``caller.lua``) takes apart again."""
    return f"{entry.customer} {entry.name}" if entry.name else entry.customer


def _by_host(app: App) -> Object:
    return {
        "name": app.name,
        "domains": list(app.hosts),
        "routes": [_route(app, {"prefix": "/"}, rewrite=None, prefix="")],
    }


def _by_prefix(app: App) -> Sequence[Object]:
    return (
        _route(app, {"prefix": f"{app.prefix}/"}, rewrite="/", prefix=app.prefix),
        _route(app, {"path": app.prefix}, rewrite="/", prefix=app.prefix),
    )


def _route(app: App, match: Object, *, rewrite: str | None, prefix: str) -> Object:
    return {
        "name": app.name,
        "match": match,
        "metadata": {"filter_metadata": {METADATA: {"prefix": prefix}}},
        "request_headers_to_remove": ["accept-encoding"],  # a compressed answer hides its usage
        "route": {
            "cluster": app.name,
            **({} if rewrite is None else {"prefix_rewrite": rewrite}),
            "timeout": seconds(app.timeout_s),
            "idle_timeout": seconds(app.timeout_s),
            "retry_policy": _RETRY,
            "rate_limits": [{"stage": STAGES[app.on_throttle_failure], "actions": _asked(app)}],
        },
    }


def _asked(app: App) -> Sequence[Json]:
    """Estimates stand last, and only where there are some: most questions differ in the id alone.

    They decide what is reserved; what is charged in the end is what the request's fact says.
    """
    return (
        {"request_headers": {"header_name": CUSTOMER_HEADER, "descriptor_key": "customer"}},
        {"generic_key": {"descriptor_key": "app", "descriptor_value": app.name}},
        {"request_headers": {"header_name": "x-request-id", "descriptor_key": "request_id"}},
        _where_given(KEY_HEADER, "key"),
        *(_where_given(f"{ESTIMATE_HEADER}{_dashed(unit)}", f"units.{unit}") for unit in ESTIMATED),
    )


def _where_given(header: str, key: str) -> Object:
    return {
        "request_headers": {"header_name": header, "descriptor_key": key, "skip_if_absent": True}
    }


def _dashed(unit: str) -> str:
    """Envoy drops headers with underscores, as a proxy before it might."""
    return unit.replace("_", "-")


_RETRY: Object = {
    "retry_on": "connect-failure,refused-stream",
    "num_retries": 3,
    "retry_back_off": {"base_interval": seconds(0.01), "max_interval": seconds(0.1)},
    "host_selection_retry_max_attempts": 5,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": typed(
                "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            ),
        }
    ],
}

_NOBODY: Object = {
    "match": {"prefix": "/"},
    "direct_response": {
        "status": 404,
        "body": {
            "inline_string": "No application answers at this path or host; "
            "see the prefixes and hosts that the applications' specs name under routes."
        },
    },
}
