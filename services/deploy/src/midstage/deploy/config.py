"""Deploy's settings, read in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from midstage.chassis.settings import SettingError, path, text, whole
from midstage.cluster.connect import NAMESPACE, places
from midstage.cluster.kubernetes.names import PROCESS_IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``cluster`` names the one that is deployed to, ``cluster_at`` is where (see ``places``).

    ``command_image`` runs, on Kubernetes, the applications that give a command and no image.
    """

    kafka: str
    host: str
    port: int
    token_file: Path
    cluster: str
    cluster_at: str
    cluster_token_file: Path
    namespace: str
    command_image: str


def from_env(env: Mapping[str, str]) -> Settings:
    """The settings; SettingError names what is missing or wrong."""
    token_file = path(env, "MIDSTAGE_DEPLOY_TOKEN_FILE")
    name, where = _first_cluster(text(env, "MIDSTAGE_DEPLOY_CLUSTERS"))
    return Settings(
        kafka=text(env, "MIDSTAGE_DEPLOY_KAFKA"),
        host=text(env, "MIDSTAGE_DEPLOY_HOST", default="127.0.0.1"),
        port=whole(env, "MIDSTAGE_DEPLOY_PORT", least=0, most=65535),
        token_file=token_file,
        cluster=name,
        cluster_at=where,
        cluster_token_file=path(env, "MIDSTAGE_DEPLOY_CLUSTER_TOKEN_FILE", default=token_file),
        namespace=text(env, "MIDSTAGE_DEPLOY_NAMESPACE", default=NAMESPACE),
        command_image=text(env, "MIDSTAGE_DEPLOY_COMMAND_IMAGE", default=PROCESS_IMAGE),
    )


def _first_cluster(value: str) -> tuple[str, str]:
    """Name and place of the first; all of them have to be so."""
    try:
        return next(iter(places(value).items()))
    except ValueError as e:
        raise SettingError(f"MIDSTAGE_DEPLOY_CLUSTERS: {e}") from e
