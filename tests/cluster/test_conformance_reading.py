"""Conformance: what every cluster tells. The suite knows no implementation, only a Bench."""

import threading
from collections.abc import Sequence
from functools import partial

import pytest

from midstage.cluster.objects import Change, Listing, Node, Pod, Reference, ReferenceKind, Workload
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.cluster import Phase
from midstage.contracts.errors import RefusedError
from midstage.testkit.waiting import within

from .bench import NODES, Bench, by_name, folded
from .watching import Watching

pytestmark = pytest.mark.slow


def test_list_tells_the_nodes_as_they_are(bench: Bench) -> None:
    nodes = {node.name: node for node in bench.cluster.list().nodes}
    for node in NODES:
        told = nodes[node.name]
        assert (told.capacity, told.taints, told.ready, told.schedulable) == (
            *(node.capacity, node.taints),
            *(True, True),
        )
        assert node.labels.items() <= told.labels.items()
        assert told.uid


def test_list_and_watch_miss_nothing_and_double_nothing(bench: Bench) -> None:
    listing = bench.cluster.list()
    early = Watching(bench.cluster.watch(listing.resource_version))
    workload = bench.workload(replicas=2)
    bench.put(workload)
    bench.ready(workload, 2)
    middle = bench.cluster.list()
    late = Watching(bench.cluster.watch(middle.resource_version))
    bench.put(workload, replicas=1)
    bench.ready(workload, 1)

    for watching, begun in ((early, listing), (late, middle)):
        changes = watching.until(partial(as_listed, bench, begun))
        for kind in (Node, Pod, Workload):
            versions = [each.resource_version for each in changes if isinstance(each.item, kind)]
            assert versions == sorted(set(versions))


def as_listed(bench: Bench, begun: Listing, seen: Sequence[Change]) -> bool:
    """Whether who watched from ``begun`` on knows what is there now."""
    return by_name(folded(begun, seen)) == by_name(bench.cluster.list())


def is_object(change: Change) -> bool:
    return change.item is not None


def test_a_quiet_watch_tells_bookmarks(bench: Bench) -> None:
    version = bench.cluster.list().resource_version
    watch = bench.cluster.watch(version)
    bookmark = next(change for change in watch if not is_object(change))
    assert bookmark.resource_version >= version


def test_a_watch_from_too_long_ago_has_expired(bench: Bench) -> None:
    bench.put(bench.workload(replicas=0))
    with pytest.raises(ExpiredError):
        next(bench.cluster.watch(bench.too_old()))


def test_what_is_gone_is_told_as_it_was(bench: Bench) -> None:
    workload = bench.workload()
    bench.put(workload)
    (pod,) = bench.ready(workload, 1)
    watching = Watching(bench.cluster.watch(bench.cluster.list().resource_version))
    bench.put(workload, replicas=0)
    bench.until(lambda: not bench.pods(workload))
    changes = watching.until(lambda seen: any(each.gone and each.pod for each in of(pod, seen)))
    (gone,) = [each.pod for each in of(pod, changes) if each.gone and each.pod]
    assert (gone.name, gone.uid, gone.app, gone.ready) == (pod.name, pod.uid, pod.app, False)
    before = [each.pod.phase for each in of(pod, changes) if each.pod and not each.gone]
    assert Phase.STOPPING in before


def of(pod: Pod, changes: Sequence[Change]) -> list[Change]:
    return [each for each in changes if each.pod and each.pod.uid == pod.uid]


def test_a_local_name_without_content_has_no_fingerprint(bench: Bench) -> None:
    nowhere = Reference(kind=ReferenceKind.SECRET, name="there-is-none")
    assert bench.cluster.references([nowhere]) == {}


def test_usage_is_plausible_and_of_pods_that_run(bench: Bench) -> None:
    workload = bench.workload()
    bench.put(workload)
    (pod,) = bench.ready(workload, 1)
    (use,) = bench.until(lambda: [use for use in bench.cluster.usage() if use.name == pod.name])
    assert 0 <= use.cpu < 2
    assert 1 < use.memory_mb < 500
    assert (use.node, use.namespace) == (pod.node, pod.namespace)
    bench.put(workload, replicas=0)
    bench.until(lambda: pod.name not in {use.name for use in bench.cluster.usage()})


def test_logs_are_what_the_pod_wrote(bench: Bench) -> None:
    workload = bench.workload()
    bench.put(workload)
    (pod,) = bench.ready(workload, 1)
    assert b"".join(bench.cluster.logs(pod.name)) == b"hello\nserving\n"
    assert b"".join(bench.cluster.logs(pod.name, tail=1)) == b"serving\n"
    assert b"".join(bench.cluster.logs(pod.name, tail=0)) == b""
    assert b"".join(bench.cluster.logs(pod.name, tail=9)) == b"hello\nserving\n"


def test_logs_can_be_followed_to_the_pods_end(bench: Bench) -> None:
    workload = bench.workload()
    bench.put(workload)
    (pod,) = bench.ready(workload, 1)
    heard: list[bytes] = []

    def follow() -> None:
        heard.extend(bench.cluster.logs(pod.name, follow=True))

    following = threading.Thread(target=follow, daemon=True)
    following.start()
    within(60, lambda: b"".join(heard) == b"hello\nserving\n")
    bench.put(workload, replicas=0)
    bench.until(lambda: not following.is_alive())


def test_logs_of_no_such_pod_are_refused(bench: Bench) -> None:
    with pytest.raises(RefusedError) as refused:
        next(bench.cluster.logs("no-such-pod"))
    assert refused.value.status == 404


def test_the_log_before_the_restart_can_be_had(bench: Bench) -> None:
    workload = bench.workload(bench.crashing)
    bench.put(workload)
    pod = bench.one(workload, lambda pod: pod.restarts)
    assert b"".join(bench.cluster.logs(pod.name, previous=True)).endswith(b"six\nseven\n")


def test_no_log_of_before_is_refused(bench: Bench) -> None:
    workload = bench.workload()
    bench.put(workload)
    (pod,) = bench.ready(workload, 1)
    with pytest.raises(RefusedError, match="one run only"):
        next(bench.cluster.logs(pod.name, previous=True))
