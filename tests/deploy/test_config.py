"""Settings: what is missing or wrong is named."""

from pathlib import Path

import pytest

from midstage.chassis.settings import SettingError
from midstage.deploy.config import from_env

GIVEN = {
    "MIDSTAGE_DEPLOY_KAFKA": "127.0.0.1:9092",
    "MIDSTAGE_DEPLOY_PORT": "8084",
    "MIDSTAGE_DEPLOY_TOKEN_FILE": "/run/token",
    "MIDSTAGE_DEPLOY_CLUSTERS": "local=http://127.0.0.1:7000, other=https://other:443",
    "MIDSTAGE_DEPLOY_CLUSTER_TOKEN_FILE": "/run/cluster",
}


def test_the_first_cluster_is_the_one() -> None:
    settings = from_env(GIVEN)
    assert (settings.cluster, settings.cluster_at) == ("local", "http://127.0.0.1:7000")
    assert settings.cluster_token_file == Path("/run/cluster")
    assert settings.host == "127.0.0.1"
    assert (settings.namespace, settings.command_image) == ("default", "midstage/process:1")


def test_a_kubernetes_api_needs_no_token_of_its_own() -> None:
    given = {**GIVEN, "MIDSTAGE_DEPLOY_CLUSTERS": "prod=kubeconfig:/run/kube#prod"}
    del given["MIDSTAGE_DEPLOY_CLUSTER_TOKEN_FILE"]
    settings = from_env(given)
    assert (settings.cluster, settings.cluster_at) == ("prod", "kubeconfig:/run/kube#prod")
    assert settings.cluster_token_file == settings.token_file


@pytest.mark.parametrize("name", sorted(GIVEN.keys() - {"MIDSTAGE_DEPLOY_CLUSTER_TOKEN_FILE"}))
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(SettingError, match=name):
        from_env({key: value for key, value in GIVEN.items() if key != name})


@pytest.mark.parametrize("value", ["http://x", "a=ftp://x", "=http://x", "a=http://x,,", "a b=c"])
def test_clusters_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(SettingError, match=r"MIDSTAGE_DEPLOY_CLUSTERS: .* is not name=where"):
        from_env({**GIVEN, "MIDSTAGE_DEPLOY_CLUSTERS": value})
