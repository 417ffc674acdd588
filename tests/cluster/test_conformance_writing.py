"""Conformance: what every cluster does when it is told. The suite knows only a Bench."""

import msgspec
import pytest

from midstage.cluster.objects import Pod, Template, Workload
from midstage.cluster.protocol import ConflictError
from midstage.contracts.errors import RefusedError

from .bench import Bench, needing, sized

pytestmark = pytest.mark.slow


def test_a_workload_gets_its_pods(bench: Bench) -> None:
    workload = bench.workload(replicas=2)
    put = bench.put(workload)
    assert (put.name, put.replicas) == (workload.name, 2)  # how many are ready changes meanwhile
    assert put.uid
    assert put.resource_version > 0
    pods = bench.ready(workload, 2)
    for pod in pods:
        assert (pod.app, pod.revision, pod.workload) == (workload.app, "1", workload.name)
        assert pod.requests == workload.template.requests
        assert pod.node
        assert pod.address
        assert pod.started_at is not None
        assert pod.ready_at is not None
        assert pod.created_at <= pod.started_at <= pod.ready_at
    assert len({pod.uid for pod in pods}) == 2
    bench.until(lambda: (known := bench.known(workload.name)) and known.ready == 2)


def test_versions_of_the_logs_are_kept(bench: Bench) -> None:
    workload = msgspec.structs.replace(bench.workload(replicas=0), spec_version=7, scale_version=3)
    bench.put(workload)
    known = bench.known(workload.name)
    assert known is not None
    assert (known.spec_version, known.scale_version) == (7, 3)


def test_what_is_so_already_is_no_change(bench: Bench) -> None:
    workload = bench.workload(replicas=0)
    bench.put(workload)
    bench.until(lambda: nothing_changes(bench, workload))  # until the cluster has told all of it


def nothing_changes(bench: Bench, workload: Workload) -> bool:
    first = bench.put(workload)
    return [bench.put(workload) for _ in range(6)] == [first] * 6


def test_a_write_from_an_old_look_is_refused(bench: Bench) -> None:
    workload = bench.workload(replicas=0)
    first = bench.put(workload)
    with pytest.raises(ConflictError):
        bench.cluster.put_workload(workload, expected=0)
    with pytest.raises(ConflictError):
        bench.cluster.put_workload(workload, expected=1)
    with pytest.raises(ConflictError):
        bench.cluster.put_workload(workload, expected=first.resource_version + 1000)
    with pytest.raises(ConflictError):
        bench.cluster.put_workload(bench.workload(), expected=first.resource_version)


def test_a_zombies_late_write_undoes_nothing(bench: Bench) -> None:
    workload = bench.workload(bench.deaf, replicas=0)
    seen_by_both = bench.put(workload)
    newer = bench.cluster.put_workload(sized(workload, 1), expected=seen_by_both.resource_version)
    assert newer.resource_version > seen_by_both.resource_version
    with pytest.raises(ConflictError):
        bench.cluster.put_workload(sized(workload, 3), expected=seen_by_both.resource_version)
    with pytest.raises(ConflictError):
        bench.cluster.delete_workload(workload.name, expected=seen_by_both.resource_version)
    known = bench.known(workload.name)
    assert known is not None
    assert known.replicas == 1


def test_a_removed_workload_takes_its_pods_with_it(bench: Bench) -> None:
    workload = bench.workload(replicas=2)
    bench.put(workload)
    bench.ready(workload, 2)
    known = knows_ready(bench, workload, 2)
    bench.cluster.delete_workload(workload.name, expected=known.resource_version)
    assert bench.known(workload.name) is None
    bench.until(lambda: not bench.pods(workload))
    bench.cluster.delete_workload(workload.name, expected=known.resource_version)


def knows_ready(bench: Bench, workload: Workload, count: int) -> Workload:
    """Wait until the workload itself tells so many; the workload."""

    def told() -> Workload | None:
        known = bench.known(workload.name)
        return known if known and known.ready == count else None

    known = bench.until(told)
    assert known is not None
    return known


def test_one_made_anew_has_another_uid(bench: Bench) -> None:
    workload = bench.workload(replicas=0)
    first = bench.put(workload)
    bench.cluster.delete_workload(workload.name, expected=first.resource_version)
    second = bench.put(workload)
    assert second.uid != first.uid
    assert second.resource_version > first.resource_version


def test_the_count_alone_is_changed(bench: Bench) -> None:
    workload = msgspec.structs.replace(bench.workload(replicas=2), spec_version=7, scale_version=3)
    bench.put(workload)
    kept, gone = bench.ready(workload, 2)
    known = knows_ready(bench, workload, 2)
    marked = bench.cluster.drain_pod(gone.name, uid=gone.uid, draining=True)
    for expected in (0, 1):
        with pytest.raises(ConflictError):
            bench.cluster.scale_workload(workload.name, replicas=1, expected=expected)
    at = known.resource_version
    ending = {(kept.uid, kept.resource_version)}
    with pytest.raises(ConflictError):
        bench.cluster.scale_workload(workload.name, replicas=1, expected=at, ending=ending)
    ending = {(marked.uid, marked.resource_version)}
    scaled = bench.cluster.scale_workload(workload.name, replicas=1, expected=at, ending=ending)
    assert scaled.resource_version > at
    bench.until(lambda: [pod.uid for pod in bench.pods(workload)] == [kept.uid])
    told = bench.known(workload.name)
    assert told is not None
    assert (told.replicas, told.template, told.uid) == (1, known.template, known.uid)
    assert (told.spec_version, told.scale_version) == (7, 3)


def test_a_count_of_what_is_not_there_or_can_not_be_is_refused(bench: Bench) -> None:
    with pytest.raises(ConflictError):
        bench.cluster.scale_workload("nobody", replicas=1, expected=1)
    workload = bench.workload(replicas=0)
    put = bench.put(workload)
    with pytest.raises(RefusedError, match="replicas: -1 is not"):
        bench.cluster.scale_workload(workload.name, replicas=-1, expected=put.resource_version)


def test_what_is_not_there_or_ours_already_is_not_adopted(bench: Bench) -> None:
    with pytest.raises(RefusedError, match="there is no") as refused:
        bench.cluster.adopt("nobody", app="ocr")
    assert refused.value.status == 404
    workload = bench.workload(replicas=0)
    bench.put(workload)
    with pytest.raises(RefusedError, match=f"is application {workload.app}'s already") as refused:
        bench.cluster.adopt(workload.name, app="other")
    assert refused.value.status == 409


def test_fewer_replicas_end_unready_then_draining_ones(bench: Bench) -> None:
    workload = bench.workload(replicas=1)
    pods: list[Pod] = []
    for count in range(1, 5):
        bench.put(workload, replicas=count)
        known = {pod.name for pod in pods}
        pods += [pod for pod in bench.ready(workload, count) if pod.name not in known]
    oldest, second, third, youngest = pods
    bench.unready(second)
    bench.until(lambda: sum(pod.ready for pod in bench.pods(workload)) == 3)
    bench.cluster.drain_pod(oldest.name, uid=oldest.uid, draining=True)

    def left(count: int) -> set[str]:
        bench.put(workload, replicas=count)
        pods = bench.until(lambda: found if len(found := bench.pods(workload)) == count else ())
        return {pod.name for pod in pods}

    assert left(3) == {oldest.name, third.name, youngest.name}
    assert left(2) == {third.name, youngest.name}
    assert left(1) < {third.name, youngest.name}


def test_who_carries_out_older_versions_conflicts(bench: Bench) -> None:
    newest = msgspec.structs.replace(bench.workload(replicas=0), spec_version=7, scale_version=3)
    bench.put(newest)
    for stale in ({"spec_version": 6}, {"scale_version": 2}):
        with pytest.raises(ConflictError, match="carries out"):
            bench.put(msgspec.structs.replace(newest, replicas=1, **stale))
    known = bench.known(newest.name)
    assert known is not None
    assert (known.replicas, known.spec_version, known.scale_version) == (0, 7, 3)


def test_a_preview_names_each_field_and_does_nothing(bench: Bench) -> None:
    workload = bench.workload(replicas=0)
    from_nothing = bench.cluster.preview(workload, expected=0)
    assert from_nothing.changes
    assert all(not change.before and change.after for change in from_nothing.changes)
    assert (from_nothing.conflicts, from_nothing.refusals) == ((), ())
    assert bench.known(workload.name) is None
    bench.put(workload)
    later = msgspec.structs.replace(workload, spec_version=9)
    assert bench.previewed(later).changes == ()
    (change,) = bench.previewed(sized(workload, 3)).changes
    assert change.path.endswith("replicas")
    assert (change.before, change.after) == ("0", "3")
    selecting = with_template(workload, node_selector={"zone": "b"})
    (change,) = bench.previewed(selecting).changes
    assert "zone" in change.path
    assert (change.before, change.after) == ("", '"b"')
    known = bench.known(workload.name)
    assert known is not None
    assert known.replicas == 0


def test_a_preview_of_what_can_not_be_is_refused_as_the_write(bench: Bench) -> None:
    workload = bench.workload(replicas=0)
    first = bench.put(workload)
    with pytest.raises(RefusedError, match="replicas"):
        bench.cluster.preview(sized(workload, -1), expected=first.resource_version)
    with pytest.raises(ConflictError):
        bench.cluster.preview(workload, expected=0)


def test_a_draining_mark_is_put_and_taken_back(bench: Bench) -> None:
    workload = bench.workload()
    bench.put(workload)
    (pod,) = bench.ready(workload, 1)
    marked = bench.cluster.drain_pod(pod.name, uid=pod.uid, draining=True)
    assert (marked.draining, marked.ready) == (True, True)
    assert marked.resource_version > pod.resource_version
    assert bench.only(workload).draining
    again = bench.cluster.drain_pod(pod.name, uid=pod.uid, draining=True)
    assert again.resource_version == marked.resource_version
    assert not bench.cluster.drain_pod(pod.name, uid=pod.uid, draining=False).draining
    assert bench.only(workload).uid == pod.uid


def test_a_write_ends_no_pod_but_those_that_it_names_as_they_are(bench: Bench) -> None:
    workload = bench.workload(replicas=2)
    bench.put(workload)
    first, second = bench.ready(workload, 2)
    seen = bench.cluster.drain_pod(first.name, uid=first.uid, draining=True)
    bench.cluster.drain_pod(first.name, uid=first.uid, draining=False)

    def fewer(replicas: int, *ending: Pod) -> None:
        known = next(w for w in bench.cluster.list().workloads if w.name == workload.name)
        named = {(pod.uid, pod.resource_version) for pod in ending}
        expected = known.resource_version
        if replicas:
            smaller = msgspec.structs.replace(workload, replicas=replicas)
            bench.cluster.put_workload(smaller, expected=expected, ending=named)
        else:
            bench.cluster.delete_workload(workload.name, expected=expected, ending=named)

    with pytest.raises(ConflictError):
        fewer(1, seen)  # its mark was taken back meanwhile
    with pytest.raises(ConflictError):
        fewer(0, seen)
    marked = bench.cluster.drain_pod(second.name, uid=second.uid, draining=True)
    with pytest.raises(ConflictError):
        fewer(0, marked)  # the other one serves
    assert {pod.uid for pod in bench.pods(workload)} == {first.uid, second.uid}
    fewer(1, marked)
    assert bench.one(workload, bool).uid == first.uid
    last = bench.cluster.drain_pod(first.name, uid=first.uid, draining=True)
    fewer(0, last)
    bench.until(lambda: not bench.pods(workload))


def test_a_mark_for_a_pod_of_before_is_refused(bench: Bench) -> None:
    workload = bench.workload()
    bench.put(workload)
    (pod,) = bench.ready(workload, 1)
    with pytest.raises(ConflictError):
        bench.cluster.drain_pod(pod.name, uid="another", draining=True)
    with pytest.raises(ConflictError):
        bench.cluster.drain_pod("no-such-pod", uid=pod.uid, draining=True)
    assert not bench.only(workload).draining


def with_template(workload: Workload, **fields: object) -> Workload:
    template = msgspec.structs.replace(workload.template, **fields)
    return msgspec.structs.replace(workload, template=template)


def test_what_can_not_be_is_refused_with_its_place(bench: Bench) -> None:
    good = bench.workload()
    for bad, place in [
        (msgspec.structs.replace(good, name="Not a name"), "name"),
        (msgspec.structs.replace(good, name="../escape"), "name"),
        (sized(good, -1), "replicas"),
        (sized(good, 100_000), "replicas"),
        (with_template(good, image=None, command=()), "template"),
        (with_template(good, grace_s=-1.0), "grace_s"),
        (msgspec.structs.replace(good, template=needing(good.template, cpu=-1)), "requests"),
    ]:
        with pytest.raises(RefusedError, match=place) as refused:
            bench.cluster.put_workload(bad, expected=0)
        assert 400 <= refused.value.status < 500
    assert bench.known(good.name) is None


def test_a_workload_stays_its_applications(bench: Bench) -> None:
    workload = bench.workload(replicas=0)
    bench.put(workload)
    with pytest.raises(RefusedError, match="another"):
        bench.put(msgspec.structs.replace(workload, revision="2"))


def test_a_changed_template_is_for_new_pods(bench: Bench) -> None:
    if not bench.keeps_pods_of_changed_templates:
        pytest.skip("a Deployment replaces its pods; deploy never changes a revision's template")
    workload = bench.workload()
    bench.put(workload)
    (old,) = bench.ready(workload, 1)
    other: Template = needing(workload.template, cpu=0.2)
    bench.put(msgspec.structs.replace(workload, template=other, replicas=2))
    before, after = bench.ready(workload, 2)
    assert (before.uid, before.requests.cpu, after.requests.cpu) == (old.uid, 0.1, 0.2)
