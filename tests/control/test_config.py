"""Settings: what is asked for by name, and what is wrong with it."""

from pathlib import Path

import pytest

from midstage.chassis.settings import SettingError
from midstage.control.config import clusters, dcgm_urls, from_env

ENV = {
    "MIDSTAGE_CONTROL_KAFKA": "127.0.0.1:9092",
    "MIDSTAGE_CONTROL_PORT": "8085",
    "MIDSTAGE_CONTROL_TOKEN_FILE": "token",
    "MIDSTAGE_CONTROL_CLUSTERS": "local=http://127.0.0.1:7000/, far=https://far.example",
}


def test_everything_has_a_default_but_the_places() -> None:
    settings = from_env(ENV)
    assert settings.clusters == {"local": "http://127.0.0.1:7000", "far": "https://far.example"}
    assert settings.cluster_token_file == Path("token")
    assert (settings.host, settings.lease_s, settings.usage_every_s) == ("127.0.0.1", 6.0, 2.0)


@pytest.mark.parametrize("name", sorted(ENV))
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(SettingError, match=name):
        from_env({key: value for key, value in ENV.items() if key != name})


@pytest.mark.parametrize(
    "given",
    [
        "local",
        "local=",
        "=http://x",
        "a=http://x,",
        "a=http://x,a=http://y",
        "a/b=http://x",
        "a=ftp://x",
    ],
)
def test_clusters_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(SettingError, match="MIDSTAGE_CONTROL_CLUSTERS"):
        clusters(given)


def test_a_cluster_may_have_its_gpus_measured_at_several_places() -> None:
    given = "local=http://a:9400/metrics, far=https://b/metrics,local=http://c:9400/metrics"
    assert dcgm_urls(given) == {
        "local": ["http://a:9400/metrics", "http://c:9400/metrics"],
        "far": ["https://b/metrics"],
    }
    assert dcgm_urls("") == {}


@pytest.mark.parametrize("given", ["local", "=http://x", "a=ftp://x", "a=", "http://x"])
def test_places_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(SettingError, match="MIDSTAGE_CONTROL_DCGM_URLS"):
        dcgm_urls(given)


@pytest.mark.parametrize(
    ("name", "value"),
    [("LEASE_S", "0"), ("LEASE_S", "soon"), ("USAGE_EVERY_S", "0"), ("STREAMS", "1.5")],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"MIDSTAGE_CONTROL_{name}"):
        from_env({**ENV, f"MIDSTAGE_CONTROL_{name}": value})
