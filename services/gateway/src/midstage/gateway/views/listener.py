"""The one listener that callers reach (LDS), with its chain of filters.

Key → caller reader → throttle (failing open) → throttle (failing closed) → usage reader → router.
What a caller says of itself in our own headers is removed before anything looks at it, and the
request's id is Envoy's. The listener never changes while Envoy runs, so no connection is ever
drained for it.
"""

from collections.abc import Sequence

from midstage.contracts.limits import FailureRule
from midstage.gateway.model.apps import THROTTLE_CLUSTER, Setup
from midstage.gateway.views.bootstrap import ROUTES
from midstage.gateway.views.requestlog import access_log
from midstage.gateway.views.routes import API_KEYS_FILTER, ROUTES_NAME, STAGES
from midstage.gateway.views.shapes import Json, Object, address, extension, seconds, typed, watched

DOMAIN = "midstage"
_BUFFER_BYTES = 1024 * 1024
_HEADERS_WITHIN_S = 10.0
_IDLE_S = 3600.0
_FILTERS = "envoy.extensions.filters"


def listener(setup: Setup) -> Object:
    """HTTP/1.1 and HTTP/2 without TLS at the same port."""
    return typed(
        "envoy.config.listener.v3.Listener",
        name="callers",
        address=address(setup.listen),
        per_connection_buffer_limit_bytes=_BUFFER_BYTES,
        filter_chains=[{"filters": [_http(setup)]}],
    )


def _http(setup: Setup) -> Object:
    return extension(
        "envoy.filters.network.http_connection_manager",
        f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="callers",
        codec_type="AUTO",
        server_name="midstage",
        rds={
            "route_config_name": ROUTES_NAME,
            "config_source": watched(f"{setup.config_dir}/{ROUTES}"),
        },
        access_log=[access_log(setup.request_log)],
        http_filters=_chain(setup),
        http_protocol_options={"enable_trailers": True},
        common_http_protocol_options={
            "idle_timeout": seconds(_IDLE_S),
            "headers_with_underscores_action": "DROP_HEADER",
        },
        request_headers_timeout=seconds(_HEADERS_WITHIN_S),
        stream_idle_timeout=seconds(_IDLE_S),
        use_remote_address=True,  # else Envoy keeps the caller's own request id
        always_set_request_id_in_response=True,
        early_header_mutation_extensions=[_OURS_REMOVED],
        normalize_path=True,
        merge_slashes=True,
        local_reply_config=_PROBLEMS,
    )


def _chain(setup: Setup) -> Sequence[Json]:
    return (
        extension(API_KEYS_FILTER, f"{_FILTERS}.http.api_key_auth.v3.ApiKeyAuth"),
        _program("midstage.caller", setup.caller_reader),
        _ratelimit(setup, FailureRule.OPEN),
        _ratelimit(setup, FailureRule.CLOSED),
        _program("midstage.usage", setup.usage_reader),
        extension(
            "envoy.filters.http.router",
            f"{_FILTERS}.http.router.v3.Router",
            suppress_envoy_headers=False,
        ),
    )


def _program(name: str, text: str) -> Object:
    return extension(
        name, f"{_FILTERS}.http.lua.v3.Lua", default_source_code={"inline_string": text}
    )


def _ratelimit(setup: Setup, rule: FailureRule) -> Object:
    return extension(
        f"midstage.ratelimit.{rule.value}",
        f"{_FILTERS}.http.ratelimit.v3.RateLimit",
        domain=DOMAIN,
        stage=STAGES[rule],
        stat_prefix=rule.value,
        timeout=seconds(setup.throttle_within_s),
        disable_x_envoy_ratelimited_header=True,
        rate_limit_service={
            "grpc_service": {"envoy_grpc": {"cluster_name": THROTTLE_CLUSTER}},
            "transport_api_version": "V3",
        },
        failure_mode_deny=rule is FailureRule.CLOSED,
        status_on_error={"code": 503},
    )


_OURS_REMOVED: Object = extension(
    "envoy.http.early_header_mutation.header_mutation",
    "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
    mutations=[
        {"remove": "x-midstage-customer"},
        {"remove": "x-midstage-key"},
        {"remove": "x-midstage-usage"},
        {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}},  # retries, timeouts
    ],
)


def _problem(detail: str) -> Object:
    """RFC 9457, as midstage's own APIs answer; the title is Envoy's word for what happened."""
    return {
        "json_format": {
            "type": "about:blank",
            "title": "%RESPONSE_CODE_DETAILS%",
            "status": "%RESPONSE_CODE%",
            "detail": detail,
            "request_id": "%REQ(X-REQUEST-ID)%",
        },
        "content_type": "application/problem+json",
    }


def _when(flag: str, body: Object) -> Object:
    return {
        "filter": {"response_flag_filter": {"flags": [flag]}},
        "body_format_override": body,
    }


_QUOTA_EXCEEDED: Object = {
    "json_format": {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Request cannot be satisfied as assigned quota has been exceeded",
        "status": "%RESPONSE_CODE%",
        "detail": "A limit is reached. Retry-After says when to try again; without it, never.",
        "violated-policies": "%DYNAMIC_METADATA(envoy.filters.http.ratelimit:violated)%",
        "request_id": "%REQ(X-REQUEST-ID)%",
    },
    "content_type": "application/problem+json",
}
"""As draft-ietf-httpapi-ratelimit-headers has it; throttle says which policies."""


_UNKNOWN_KEY: Object = {
    "filter": {
        "status_code_filter": {
            "comparison": {"op": "EQ", "value": {"default_value": 401, "runtime_key": "none"}}
        }
    },
    "body_format_override": _problem(
        "Send a key that is known here, in the header: authorization: Bearer KEY."
    ),
}

_PROBLEMS: Object = {
    "mappers": [
        _when("RL", _QUOTA_EXCEEDED),
        _when(
            "RLSE",
            _problem("The limits could not be asked, so this request is refused; try again."),
        ),
        _UNKNOWN_KEY,
    ],
    "body_format": _problem("%LOCAL_REPLY_BODY%"),
}
