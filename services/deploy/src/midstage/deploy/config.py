"""Deploy's settings, read in one place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from midstage.chassis.settings import SettingError, path, text, whole

_CLUSTER = re.compile(r"([a-z0-9][a-z0-9.-]{0,62})=(https?://\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``cluster`` and ``cluster_url`` are the one that is deployed to."""

    kafka: str
    host: str
    port: int
    token_file: Path
    cluster: str
    cluster_url: str
    cluster_token_file: Path


def from_env(env: Mapping[str, str]) -> Settings:
    """The settings; SettingError names what is missing or wrong."""
    name, url = _first_cluster(text(env, "MIDSTAGE_DEPLOY_CLUSTERS"))
    return Settings(
        kafka=text(env, "MIDSTAGE_DEPLOY_KAFKA"),
        host=text(env, "MIDSTAGE_DEPLOY_HOST", default="127.0.0.1"),
        port=whole(env, "MIDSTAGE_DEPLOY_PORT", least=0, most=65535),
        token_file=path(env, "MIDSTAGE_DEPLOY_TOKEN_FILE"),
        cluster=name,
        cluster_url=url,
        cluster_token_file=path(env, "MIDSTAGE_DEPLOY_CLUSTER_TOKEN_FILE"),
    )


def _first_cluster(value: str) -> tuple[str, str]:
    """Name and address of the first of ``name=url[,name=url]``; all of them have to be so."""
    found = [(each, _CLUSTER.fullmatch(each.strip())) for each in value.split(",")]
    for each, match in found:
        if match is None:
            raise SettingError(
                f"MIDSTAGE_DEPLOY_CLUSTERS={value!r}: {each!r} is not name=http://address"
            )
    [first, *_] = [match for _, match in found if match is not None]
    return first[1], first[2]
