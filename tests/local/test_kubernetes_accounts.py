"""The manifests that a person applies to a cluster are read as they are written, or named."""

from pathlib import Path

import pytest

from midstage.local.errors import PlatformError
from midstage.local.kubernetes import accounts

TWO = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads, namespace: apps}
rules: []
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: apps}
"""


def test_what_others_refer_to_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(TWO)
    (tmp_path / "b.yaml").write_text("kind: Namespace\nmetadata: {name: apps}\n---\n")
    assert [each.path for each in accounts.manifests(tmp_path)] == [
        "/api/v1/namespaces/apps",
        "/api/v1/namespaces/apps/serviceaccounts/reader",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/apps/roles/reads",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Pod\nmetadata: {name: x}", "Pod is not applied here"),
        ("kind: [", "can't be applied"),
        ("- 1", "can't be applied"),
        ("kind: Role", "can't be applied"),
    ],
)
def test_a_file_that_can_not_be_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(PlatformError, match=rf"bad\.yaml.*{said}"):
        accounts.manifests(tmp_path)


def test_a_folder_without_any_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="no manifests are in"):
        accounts.manifests(tmp_path)


def test_control_and_deploy_have_accounts() -> None:
    kinds = {each.name for each in accounts.manifests() if each.kind == "ServiceAccount"}
    assert kinds >= {"midstage-control", "midstage-deploy"}
