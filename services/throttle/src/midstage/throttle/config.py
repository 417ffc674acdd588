"""Throttle's settings, read in one place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from midstage.chassis.settings import SettingError, flag, number, path, text, whole

_TOKEN = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """Imported rules; without a folder there are none. Each is off by default, as there.

    ``headers`` is what the names of response headers begin with.
    """

    folder: Path | None = None
    merge: bool = False
    shadow: bool = False
    quota: bool = False
    stop_when_over: bool = False
    near_limit: Fraction = Fraction(4, 5)
    headers: str = ""
    metadata: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``answer_within_ms`` is ours, ``caller_timeout_ms`` is what Envoy's filter waits.

    ``address`` is where other throttles reach the gRPC port, ``http_address`` the HTTP port.
    ``edge_keys_file``: the edges' keys; without it the facts of requests are not read.
    """

    kafka: str
    host: str
    port: int
    grpc_port: int
    token_file: Path
    answer_within_ms: float
    caller_timeout_ms: float
    address: str
    http_address: str
    edge_keys_file: Path | None = None
    reserved_for_s: float = 3600.0
    rules: RuleSettings = field(default_factory=RuleSettings)

    @property
    def late_below_s(self) -> float:
        """A check with less than this left until its deadline has waited too long."""
        return (self.caller_timeout_ms - self.answer_within_ms) / 1000


def from_env(env: Mapping[str, str]) -> Settings:
    """The settings; SettingError names what is missing or wrong."""
    keys_file = text(env, "MIDSTAGE_THROTTLE_EDGE_KEYS_FILE", default="")
    host = text(env, "MIDSTAGE_THROTTLE_HOST", default="127.0.0.1")
    port = whole(env, "MIDSTAGE_THROTTLE_PORT", least=0, most=65535)
    grpc_port = whole(env, "MIDSTAGE_THROTTLE_GRPC_PORT", least=0, most=65535)
    settings = Settings(
        kafka=text(env, "MIDSTAGE_THROTTLE_KAFKA"),
        host=host,
        port=port,
        grpc_port=grpc_port,
        address=text(env, "MIDSTAGE_THROTTLE_ADDRESS", default=f"{host}:{grpc_port}"),
        http_address=text(env, "MIDSTAGE_THROTTLE_HTTP_ADDRESS", default=f"{host}:{port}"),
        token_file=path(env, "MIDSTAGE_THROTTLE_TOKEN_FILE"),
        answer_within_ms=number(env, "MIDSTAGE_THROTTLE_ANSWER_WITHIN_MS", default=30.0, least=1.0),
        caller_timeout_ms=number(
            env, "MIDSTAGE_THROTTLE_CALLER_TIMEOUT_MS", default=50.0, least=1.0
        ),
        edge_keys_file=Path(keys_file) if keys_file else None,
        reserved_for_s=number(
            env, "MIDSTAGE_THROTTLE_RESERVED_FOR_S", default=3600.0, least=1.0, most=86_400.0
        ),
        rules=_rules(env),
    )
    if settings.answer_within_ms >= settings.caller_timeout_ms:
        raise SettingError(
            f"MIDSTAGE_THROTTLE_ANSWER_WITHIN_MS={settings.answer_within_ms:g} leaves nothing of "
            f"MIDSTAGE_THROTTLE_CALLER_TIMEOUT_MS={settings.caller_timeout_ms:g}; make it less"
        )
    return settings


def _rules(env: Mapping[str, str]) -> RuleSettings:
    prefix = "MIDSTAGE_THROTTLE_RULES_"
    folder = text(env, f"{prefix}DIR", default="")
    ratio = number(env, f"{prefix}NEAR_LIMIT_RATIO", default=0.8, least=0.0, most=1.0)
    headers = text(env, f"{prefix}HEADERS", default="")
    if headers and not _TOKEN.fullmatch(headers):
        raise SettingError(f"{prefix}HEADERS={headers!r} can't begin the name of a header")
    return RuleSettings(
        folder=Path(folder) if folder else None,
        merge=flag(env, f"{prefix}MERGE", default=False),
        shadow=flag(env, f"{prefix}SHADOW", default=False),
        quota=flag(env, f"{prefix}QUOTA", default=False),
        stop_when_over=flag(env, f"{prefix}STOP_WHEN_OVER", default=False),
        near_limit=Fraction(str(ratio)),
        headers=headers,
        metadata=flag(env, f"{prefix}METADATA", default=False),
    )
