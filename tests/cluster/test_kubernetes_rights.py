"""Under the accounts of infra/kubernetes/rbac all that is needed works, and nothing else does."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import yaml

from midstage.cluster.kubernetes.cluster import KubernetesCluster
from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.objects import Reference, ReferenceKind, Template, Workload
from midstage.contracts.errors import RefusedError
from midstage.contracts.running import Disruption, Source
from midstage.local.kubernetes.accounts import MANIFESTS, granted
from midstage.testkit.waiting import within
from tests.kubernetes import Kubernetes

from .on_kubernetes import namespaced

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]
CONTROL, DEPLOY = "midstage-control", "midstage-deploy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A namespace in which the accounts have their rights, as a person would give them."""

    namespace: str
    where: Mapping[str, str]

    def cluster(self, account: str) -> KubernetesCluster:
        return KubernetesCluster(name="test", where=self.where[account], namespace=self.namespace)

    def status(self, account: str, method: str, path: str, body: object = None) -> int:
        """What the server answers; 200 where it does it."""
        sent = None if body is None else msgspec.json.encode(body)
        connection = Connection(name="test", where=self.where[account])
        with contextlib.closing(connection):
            try:
                connection.request(method, path, body=sent)
            except RefusedError as e:
                return e.status
        return 200


@pytest.fixture
def site(kubernetes: Kubernetes, tmp_path: Path) -> Iterator[Site]:
    with namespaced(kubernetes) as namespace:
        rbac = tmp_path / "rbac"
        rbac.mkdir()
        for file in MANIFESTS.glob("*.yaml"):
            text = file.read_text().replace("namespace: default", f"namespace: {namespace}")
            (rbac / file.name).write_text(text)
        tokens = granted(kubernetes.kubeconfig, rbac)
        made = Site(
            namespace=namespace,
            where={
                account: f"kubeconfig:{as_account(kubernetes, tmp_path / account, token)}"
                for account, token in tokens.items()
            },
        )
        within(60, lambda: in_force(made))  # the server hears of rights a moment after they stand
        yield made


def in_force(site: Site) -> bool:
    """Whether each account may do something of each kind of rights that it was given."""
    here = f"namespaces/{site.namespace}"
    return {
        site.status(account, "GET", path)
        for account, path in (
            (CONTROL, "/api/v1/nodes"),
            (CONTROL, f"/apis/apps/v1/{here}/deployments"),
            (DEPLOY, f"/apis/apps/v1/{here}/deployments"),
        )
    } == {200}


def as_account(kubernetes: Kubernetes, file: Path, token: str) -> Path:
    """A kubeconfig that says the same with another token."""
    config = yaml.safe_load(kubernetes.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    file.write_text(yaml.safe_dump(config))
    return file


def a_workload(site: Site) -> Workload:
    template = Template(
        command=("serve",),
        node_selector={"is": "nowhere"},
        env_from={"KEY": Source(secret="none", key="k")},
    )
    return Workload(
        name="ocr-1",
        namespace=site.namespace,
        app="ocr",
        revision="1",
        template=template,
        replicas=1,
        disruption=Disruption(),
    )


def test_control_sees_all_that_deploy_writes_and_each_needs_no_more(site: Site) -> None:
    with site.cluster(DEPLOY) as deploy, site.cluster(CONTROL) as control:
        told = deploy.preview(a_workload(site), expected=0)
        assert told.refusals == ("there is no Secret none",)
        put = deploy.put_workload(a_workload(site), expected=0)
        secret = Reference(kind=ReferenceKind.SECRET, name="none")
        assert deploy.references([secret]) == {}

        def seen() -> list[str]:
            return [pod.name for pod in control.list().pods if pod.workload == "ocr-1"]

        (pod,) = within(60, seen)
        listing = control.list()
        assert [each.name for each in listing.workloads] == ["ocr-1"]
        assert listing.nodes
        changes = control.watch(listing.resource_version)
        uid = next(each.uid for each in listing.pods if each.name == pod)
        assert deploy.drain_pod(pod, uid=uid, draining=True).draining
        of_it = (change.pod for change in changes if change.pod and change.pod.name == pod)
        assert next(each for each in of_it if each.draining)  # the scheduler may have spoken first
        lease = control.take_lease(CONTROL, holder="me", within=timedelta(seconds=5))
        assert lease.holder == "me"
        assert isinstance(control.usage(), (list, tuple))
        assert list(control.quotas()) == []

        grown = msgspec.structs.replace(a_workload(site), replicas=2, scale_version=1)
        again = deploy.put_workload(grown, expected=put.resource_version)
        assert again.replicas == 2
        known = within(60, lambda: control.list().workloads)[0]
        deploy.delete_workload("ocr-1", expected=known.resource_version)
        within(60, lambda: not control.list().workloads)


def test_deploy_may_take_over_what_somebody_else_made(site: Site, kubernetes: Kubernetes) -> None:
    labels = {"run": "web"}
    pod = {"containers": [{"name": "web", "image": "web:1"}], "nodeSelector": {"is": "nowhere"}}
    theirs = {
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    team = Connection(name="team", where=kubernetes.where)
    path = f"/apis/apps/v1/namespaces/{site.namespace}/deployments"
    with contextlib.closing(team), site.cluster(DEPLOY) as deploy:
        team.request("POST", path, body=msgspec.json.encode(theirs))

        def adopted() -> Workload | None:
            with contextlib.suppress(RefusedError):
                return deploy.adopt("web", app="ocr")
            return None

        taken = within(60, adopted)
        assert taken is not None
        scaled = deploy.scale_workload("web", replicas=0, expected=taken.resource_version)
        assert scaled.replicas == 0


@pytest.mark.parametrize(
    ("account", "method", "path"),
    [
        (CONTROL, "GET", "/api/v1/namespaces/{here}/secrets/any"),
        (CONTROL, "GET", "/api/v1/namespaces/{here}/secrets"),
        (CONTROL, "GET", "/api/v1/namespaces/{here}/configmaps/any"),
        (CONTROL, "GET", "/apis/apps/v1/namespaces/{other}/deployments"),
        (CONTROL, "GET", "/api/v1/namespaces/{other}/pods/any/log"),
        (CONTROL, "DELETE", "/apis/apps/v1/namespaces/{here}/deployments/any"),
        (CONTROL, "DELETE", "/api/v1/namespaces/{here}/pods/any"),
        (CONTROL, "DELETE", "/api/v1/nodes/any"),
        (DEPLOY, "GET", "/api/v1/nodes"),
        (DEPLOY, "DELETE", "/api/v1/nodes/any"),
        (DEPLOY, "GET", "/api/v1/namespaces/{here}/secrets"),
        (DEPLOY, "GET", "/api/v1/namespaces/{other}/secrets/any"),
        (DEPLOY, "GET", "/apis/apps/v1/namespaces/{other}/deployments"),
        (DEPLOY, "DELETE", "/apis/apps/v1/namespaces/{other}/deployments/any"),
        (DEPLOY, "DELETE", "/api/v1/namespaces/{here}/pods/any"),
        (DEPLOY, "DELETE", "/api/v1/namespaces/{here}"),
        (DEPLOY, "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles"),
    ],
)
def test_what_an_account_does_not_need_it_may_not(
    site: Site, account: str, method: str, path: str
) -> None:
    asked = path.format(here=site.namespace, other="kube-system")
    assert site.status(account, method, asked) == 403


def test_nobody_without_a_token_may_do_anything(kubernetes: Kubernetes, tmp_path: Path) -> None:
    stranger = as_account(kubernetes, tmp_path / "stranger", "not-a-token")
    connection = Connection(name="test", where=f"kubeconfig:{stranger}")
    with contextlib.closing(connection), pytest.raises(RefusedError) as refused:
        connection.request("GET", "/api/v1/nodes")
    assert refused.value.status == 401
