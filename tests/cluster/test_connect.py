"""A setting names clusters; what it says chooses how each is reached."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.cluster.connect import connect, places
from midstage.cluster.http import HttpCluster
from midstage.cluster.kubernetes.cluster import KubernetesCluster


def test_clusters_of_every_kind_stand_beside_each_other() -> None:
    given = "local=http://127.0.0.1:7000/, prod=kubeconfig:/etc/kube#prod,here=in-cluster:"
    assert list(places(given).items()) == [
        ("local", "http://127.0.0.1:7000"),
        ("prod", "kubeconfig:/etc/kube#prod"),
        ("here", "in-cluster:"),
    ]


@pytest.mark.parametrize(
    "given",
    [
        *("", "local", "local=", "=http://x", "a=http://x,", "a=http://x,a=http://y"),
        *("a/b=http://x", "a=ftp://x", "a=http://", "A=http://x", "a=http://[x"),
        *("a=kubeconfig:", "a=kubeconfig:#prod", "a=in-cluster", "a=in-cluster:x"),
    ],
)
def test_what_is_no_cluster_is_named(given: str) -> None:
    with pytest.raises(ValueError, match=r"is not name=where|is named twice"):
        places(given)


@given(st.text(max_size=60))
def test_no_text_breaks_more_than_its_own_setting(text: str) -> None:
    try:
        found = places(text)
    except ValueError:
        return
    assert found


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("http://127.0.0.1:1", HttpCluster),
        ("kubeconfig:/nowhere#x", KubernetesCluster),
        ("in-cluster:", KubernetesCluster),
    ],
)
def test_what_is_said_chooses_the_implementation(where: str, kind: type) -> None:
    cluster = connect("one", where, "token")
    assert isinstance(cluster, kind)
    assert cluster.name == "one"
