"""Control's settings, read in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from midstage.chassis.settings import SettingError, number, path, text, whole

CLUSTERS = "MIDSTAGE_CONTROL_CLUSTERS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``clusters`` by name: base URLs; ``streams`` bounds the answers that are open without end."""

    kafka: str
    host: str
    port: int
    token_file: Path
    clusters: Mapping[str, str]
    cluster_token_file: Path
    lease_s: float
    usage_every_s: float
    streams: int


def from_env(env: Mapping[str, str]) -> Settings:
    """The settings; SettingError names what is missing or wrong."""
    token_file = path(env, "MIDSTAGE_CONTROL_TOKEN_FILE")
    return Settings(
        kafka=text(env, "MIDSTAGE_CONTROL_KAFKA"),
        host=text(env, "MIDSTAGE_CONTROL_HOST", default="127.0.0.1"),
        port=whole(env, "MIDSTAGE_CONTROL_PORT", least=0, most=65535),
        token_file=token_file,
        clusters=clusters(text(env, CLUSTERS)),
        cluster_token_file=path(env, "MIDSTAGE_CONTROL_CLUSTER_TOKEN_FILE", default=token_file),
        lease_s=number(env, "MIDSTAGE_CONTROL_LEASE_S", default=6.0, least=1.0, most=300.0),
        usage_every_s=number(
            env, "MIDSTAGE_CONTROL_USAGE_EVERY_S", default=2.0, least=0.1, most=300.0
        ),
        streams=whole(env, "MIDSTAGE_CONTROL_STREAMS", default=32, least=1, most=1000),
    )


def clusters(given: str) -> Mapping[str, str]:
    """``name=url[,name=url]`` as URLs by name; SettingError says what is wrong."""
    found: dict[str, str] = {}
    for part in given.split(","):
        name, _, url = (word.strip() for word in part.partition("="))
        parts = urlsplit(url)
        if not name or "/" in name or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingError(f"{CLUSTERS}: {part.strip()!r} is not name=url")
        if name in found:
            raise SettingError(f"{CLUSTERS} names {name!r} twice")
        found[name] = url.rstrip("/")
    return found
