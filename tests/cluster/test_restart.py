"""The local cluster's daemon dies and comes back: what it kept, and what ended with it."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from midstage.cluster.http import HttpCluster
from midstage.cluster.protocol import ConflictError, ExpiredError
from midstage.contracts.errors import UnavailableError
from midstage.testkit.waiting import within
from tests import patient

from .bench import objects
from .daemon import Daemon, gone, prepared, processes, ready, runs, workload

pytestmark = [pytest.mark.slow, pytest.mark.platform]
LONG = timedelta(seconds=600)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """One of the test's own, not started."""
    made = prepared(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def cluster(daemon: Daemon) -> Iterator[HttpCluster]:
    daemon.start()
    with daemon.client() as client:
        yield client


def test_killed_with_9_it_finds_its_workloads_again_and_starts_pods_anew(
    daemon: Daemon, cluster: HttpCluster
) -> None:
    put = cluster.put_workload(workload(runs("serve"), replicas=2), expected=0)
    before = ready(cluster, 2)
    lease = cluster.take_lease("control", holder="a", within=timedelta(seconds=1))
    version, children = cluster.list().resource_version, processes(daemon)
    assert len(children) == 2

    daemon.kill()
    within(60, lambda: all(gone(child) for child in children))
    daemon.start()

    after = ready(cluster, 2)
    assert not {pod.uid for pod in after} & {pod.uid for pod in before}
    listing = cluster.list()
    (known,) = listing.workloads
    assert (known.uid, known.replicas) == (put.uid, 2)
    assert min(each.resource_version for each in objects(listing)) > version
    with pytest.raises(ExpiredError):
        next(cluster.watch(version))
    with pytest.raises(ConflictError):
        cluster.put_workload(workload(runs("serve"), replicas=9), expected=put.resource_version)
    taken = within(60, lambda: taken_by(cluster, "b"))
    assert taken == lease.epoch + 1


def test_a_removed_workload_stays_removed_over_a_kill(daemon: Daemon, cluster: HttpCluster) -> None:
    put = cluster.put_workload(workload(runs("serve"), replicas=0), expected=0)
    cluster.delete_workload("app-1", expected=put.resource_version)
    daemon.kill()
    daemon.start()
    assert cluster.list().workloads == ()


def test_sigterm_of_the_daemon_ends_its_pods_in_order(daemon: Daemon, cluster: HttpCluster) -> None:
    cluster.put_workload(workload(runs("serve"), replicas=2), expected=0)
    ready(cluster, 2)
    children = processes(daemon)
    assert daemon.process is not None
    daemon.process.terminate()
    assert daemon.process.wait(60) == 0
    assert all(gone(child) for child in children)


def test_what_it_keeps_can_not_be_garbage(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "cluster.json").write_text("{")
    refused = subprocess.run(daemon.command(), capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "cluster.json can't be read" in refused.stderr


def test_a_disk_that_takes_nothing_is_told_and_nothing_is_half_done(
    daemon: Daemon, cluster: HttpCluster
) -> None:
    folder = daemon.folder / "cluster"
    (folder / "cluster.new").mkdir()  # in the way of each write
    put = workload(runs("serve"), replicas=0)
    with pytest.raises(UnavailableError, match="can't be written"):
        cluster.put_workload(put, expected=0)
    assert patient.get(f"{daemon.base}/readyz", trust_env=False).status_code == 503
    (folder / "cluster.new").rmdir()
    (known,) = cluster.list().workloads
    cluster.put_workload(put, expected=known.resource_version)
    daemon.kill()
    daemon.start()
    assert [each.name for each in cluster.list().workloads] == [put.name]


def taken_by(cluster: HttpCluster, holder: str) -> int:
    lease = cluster.take_lease("control", holder=holder, within=LONG)
    return lease.epoch if lease.holder == holder else 0
