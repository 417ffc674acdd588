"""Throttle's settings, read in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from midstage.chassis.settings import SettingError, number, path, text, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``answer_within_ms`` is ours, ``caller_timeout_ms`` is what Envoy's filter waits.

    ``edge_keys_file``: the edges' keys; without it the facts of requests are not read.
    """

    kafka: str
    host: str
    port: int
    grpc_port: int
    token_file: Path
    answer_within_ms: float
    caller_timeout_ms: float
    edge_keys_file: Path | None = None
    reserved_for_s: float = 3600.0

    @property
    def late_below_s(self) -> float:
        """A check with less than this left until its deadline has waited too long."""
        return (self.caller_timeout_ms - self.answer_within_ms) / 1000


def from_env(env: Mapping[str, str]) -> Settings:
    """The settings; SettingError names what is missing or wrong."""
    keys_file = text(env, "MIDSTAGE_THROTTLE_EDGE_KEYS_FILE", default="")
    settings = Settings(
        kafka=text(env, "MIDSTAGE_THROTTLE_KAFKA"),
        host=text(env, "MIDSTAGE_THROTTLE_HOST", default="127.0.0.1"),
        port=whole(env, "MIDSTAGE_THROTTLE_PORT", least=0, most=65535),
        grpc_port=whole(env, "MIDSTAGE_THROTTLE_GRPC_PORT", least=0, most=65535),
        token_file=path(env, "MIDSTAGE_THROTTLE_TOKEN_FILE"),
        answer_within_ms=number(env, "MIDSTAGE_THROTTLE_ANSWER_WITHIN_MS", default=30.0, least=1.0),
        caller_timeout_ms=number(
            env, "MIDSTAGE_THROTTLE_CALLER_TIMEOUT_MS", default=50.0, least=1.0
        ),
        edge_keys_file=Path(keys_file) if keys_file else None,
        reserved_for_s=number(
            env, "MIDSTAGE_THROTTLE_RESERVED_FOR_S", default=3600.0, least=1.0, most=86_400.0
        ),
    )
    if settings.answer_within_ms >= settings.caller_timeout_ms:
        raise SettingError(
            f"MIDSTAGE_THROTTLE_ANSWER_WITHIN_MS={settings.answer_within_ms:g} leaves nothing of "
            f"MIDSTAGE_THROTTLE_CALLER_TIMEOUT_MS={settings.caller_timeout_ms:g}; make it less"
        )
    return settings
