"""Gateway's settings, read in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from midstage.chassis.settings import SettingError, path, text, whole
from midstage.contracts.errors import RefusedError
from midstage.gateway.decide.apps import endpoint
from midstage.gateway.model.apps import Endpoint

_LEAST_ROTATE_BYTES = 4096
_ROTATE_BYTES = 256 * 1024 * 1024
_HOST = "127.0.0.1"
_PREFIX = "MIDSTAGE_GATEWAY_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``host`` and ``port`` are of gateway's own API, ``listen`` is where Envoy takes callers."""

    kafka: str
    host: str
    port: int
    token_file: Path
    edge: str
    config_dir: Path
    log_dir: Path
    state_dir: Path
    apps_file: Path | None
    api_keys_file: Path
    edge_keys_file: Path
    listen: Endpoint
    admin: Endpoint
    throttle: Endpoint
    rotate_bytes: int


def from_env(env: Mapping[str, str]) -> Settings:
    """The settings; SettingError names what is missing or wrong."""
    return Settings(
        kafka=text(env, f"{_PREFIX}KAFKA"),
        host=text(env, f"{_PREFIX}HOST", default=_HOST),
        port=_port(env, "PORT", least=0),
        token_file=path(env, f"{_PREFIX}TOKEN_FILE"),
        edge=_edge(env),
        config_dir=path(env, f"{_PREFIX}CONFIG_DIR").absolute(),
        log_dir=path(env, f"{_PREFIX}LOG_DIR").absolute(),
        state_dir=path(env, f"{_PREFIX}STATE_DIR").absolute(),
        apps_file=_apps_file(env),
        api_keys_file=path(env, f"{_PREFIX}API_KEYS_FILE"),
        edge_keys_file=path(env, f"{_PREFIX}EDGE_KEYS_FILE"),
        listen=Endpoint(
            host=text(env, f"{_PREFIX}LISTEN_HOST", default=_HOST), port=_port(env, "LISTEN_PORT")
        ),
        admin=Endpoint(host=_HOST, port=_port(env, "ENVOY_ADMIN_PORT")),
        throttle=_endpoint(env, "THROTTLE_ADDRESS"),
        rotate_bytes=whole(
            env, f"{_PREFIX}ROTATE_BYTES", default=_ROTATE_BYTES, least=_LEAST_ROTATE_BYTES
        ),
    )


def _apps_file(env: Mapping[str, str]) -> Path | None:
    """None: all applications are deployed by midstage."""
    name = text(env, f"{_PREFIX}APPS_FILE", default="")
    return Path(name) if name else None


def _port(env: Mapping[str, str], name: str, *, least: int = 1) -> int:
    return whole(env, f"{_PREFIX}{name}", least=least, most=65_535)


def _edge(env: Mapping[str, str]) -> str:
    edge = text(env, f"{_PREFIX}EDGE")
    if "/" in edge or len(edge) > 100:
        raise SettingError(f"{_PREFIX}EDGE={edge!r} is no name: 100 characters at most, without /")
    return edge


def _endpoint(env: Mapping[str, str], name: str) -> Endpoint:
    try:
        return endpoint(text(env, f"{_PREFIX}{name}"))
    except RefusedError as e:
        raise SettingError(f"{_PREFIX}{name}: {e}") from e
