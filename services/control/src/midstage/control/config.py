"""Control's settings, read in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from midstage.chassis.settings import SettingError, number, path, text, whole
from midstage.cluster.connect import NAMESPACE, places

CLUSTERS = "MIDSTAGE_CONTROL_CLUSTERS"
DCGM_URLS = "MIDSTAGE_CONTROL_DCGM_URLS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``clusters`` by name: where they are (see ``midstage.cluster.connect``).

    ``streams`` bounds the answers that are open without end. ``lag_kafka`` has the consumer groups
    whose lags are read; empty: none are.
    """

    kafka: str
    host: str
    port: int
    token_file: Path
    clusters: Mapping[str, str]
    cluster_token_file: Path
    namespace: str
    lease_s: float
    usage_every_s: float
    streams: int
    dcgm_urls: Mapping[str, Sequence[str]]
    lag_kafka: str = ""
    signals_every_s: float = 5.0


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
        namespace=text(env, "MIDSTAGE_CONTROL_NAMESPACE", default=NAMESPACE),
        lease_s=number(env, "MIDSTAGE_CONTROL_LEASE_S", default=6.0, least=1.0, most=300.0),
        usage_every_s=number(
            env, "MIDSTAGE_CONTROL_USAGE_EVERY_S", default=2.0, least=0.1, most=300.0
        ),
        streams=whole(env, "MIDSTAGE_CONTROL_STREAMS", default=32, least=1, most=1000),
        dcgm_urls=dcgm_urls(text(env, DCGM_URLS, default="")),
        lag_kafka=text(
            env, "MIDSTAGE_CONTROL_LAG_KAFKA", default=text(env, "MIDSTAGE_CONTROL_KAFKA")
        ),
        signals_every_s=number(
            env, "MIDSTAGE_CONTROL_SIGNALS_EVERY_S", default=5.0, least=0.1, most=60.0
        ),
    )


def clusters(given: str) -> Mapping[str, str]:
    """``name=where[,name=where]`` as places by name; SettingError says what is wrong."""
    try:
        return places(given)
    except ValueError as e:
        raise SettingError(f"{CLUSTERS}: {e}") from e


def dcgm_urls(given: str) -> Mapping[str, Sequence[str]]:
    """``cluster=url[,…]``, a cluster may have several; SettingError says what is wrong."""
    found: dict[str, list[str]] = {}
    for part in filter(None, (each.strip() for each in given.split(","))):
        name, _, url = (word.strip() for word in part.partition("="))
        parts = urlsplit(url)
        if not name or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingError(f"{DCGM_URLS}: {part!r} is not cluster=url")
        found.setdefault(name, []).append(url)
    return found
