"""From the objects that a cluster tells of to facts.

``differences`` against what the inventory says already, so a restart or a take-over writes nothing
that is known, and what vanished meanwhile becomes ``ObjectGone``. Each change of a watch is one
fact. Resource versions are the cluster's own, so the same fact made twice is the same to a reader.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypedDict, assert_never

import msgspec

from midstage.cluster.objects import (
    Change,
    Endpoints,
    Item,
    Listing,
    Node,
    Pod,
    Workload,
)
from midstage.contracts.cluster import (
    ClusterFact,
    EndpointsObserved,
    NodeObserved,
    ObjectGone,
    PodObserved,
    WorkloadObserved,
)
from midstage.contracts.inventory import Inventory, Living, key_of_fact, kind_of
from midstage.control.model import Stamp


def differences(
    known: Inventory, listing: Listing, stamp: Stamp, now: datetime
) -> Sequence[ClusterFact]:
    """What has to be written so that ``known`` says what ``listing`` says."""
    items: Iterable[Item] = (
        *listing.nodes,
        *listing.workloads,
        *listing.endpoints,
        *listing.pods,
    )
    there = [observed(each, stamp, now) for each in items]
    keys = {key_of_fact(fact) for fact in there}
    missing = [held for held in known.objects(stamp.cluster) if key_of_fact(held) not in keys]
    return (
        *(fact for fact in there if _is_news(known, fact)),
        *(_gone(held, stamp, now, version=listing.resource_version) for held in missing),
    )


def changed(change: Change, stamp: Stamp, now: datetime) -> Living | ObjectGone | None:
    """The fact of one change; None for a bookmark."""
    item = change.item
    if item is None:
        return None
    fact = observed(item, stamp, now)
    return _gone(fact, stamp, now, version=change.resource_version) if change.gone else fact


def untold(
    facts: Iterable[Living | ObjectGone | None], known: Inventory
) -> Sequence[Living | ObjectGone]:
    """Those that say something new, each beside what was said of its object before it.

    A watch that was taken up again may tell a change twice, and a cluster changes more than is told
    here: a node's heartbeat, say.
    """
    said: dict[str, Living | ObjectGone] = {}
    found: list[Living | ObjectGone] = []
    for fact in facts:
        if fact is None:
            continue
        key = key_of_fact(fact)
        before = said.get(key) or known.newest(key)
        if before is None or (_place(fact) > _place(before) and not _same(before, fact)):
            said[key] = fact
            found.append(fact)
    return found


def answered(
    late: Iterable[Living | ObjectGone], known: Inventory, stamp: Stamp, now: datetime
) -> Sequence[Living | ObjectGone]:
    """What undoes facts that the holder of an older lease wrote after ours had begun.

    Of an object that we know what we know, under our epoch; of one that we never saw that it is
    gone, one version before the late fact, lest it bury what was just made.
    """
    found = [(fact, known.newest(key_of_fact(fact))) for fact in late]
    return [_answer(held, fact, stamp, now) for fact, held in found if held != fact]


def observed(item: Item, stamp: Stamp, now: datetime) -> Living:
    """The fact that says what ``item`` is."""
    seen = _seen(item, stamp, now)
    match item:
        case Node():
            return NodeObserved(
                **seen,
                ready=item.ready,
                schedulable=item.schedulable,
                emptied=item.emptied,
                reason=item.reason,
                capacity=item.capacity,
                labels=item.labels,
                taints=item.taints,
            )
        case Pod():
            return _pod(item, seen)
        case Workload():
            return WorkloadObserved(
                **seen,
                app=item.app,
                revision=item.revision,
                replicas=item.replicas,
                ready=item.ready,
                spec_version=item.spec_version,
                scale_version=item.scale_version,
                drift=item.drift,
                reason=item.reason,
            )
        case Endpoints():
            return EndpointsObserved(
                **seen, app=item.app, service=item.service, endpoints=item.endpoints
            )
        case _:
            assert_never(item)


class _Seen(TypedDict):
    """What every fact about an object says first."""

    cluster: str
    name: str
    namespace: str
    epoch: int
    observed_at: datetime
    uid: str
    resource_version: int


def _seen(item: Item, stamp: Stamp, now: datetime) -> _Seen:
    return {
        "cluster": stamp.cluster,
        "name": item.name,
        "namespace": "" if isinstance(item, Node) else item.namespace,
        "epoch": stamp.epoch,
        "observed_at": now,
        "uid": item.uid,
        "resource_version": item.resource_version,
    }


def _pod(item: Pod, seen: _Seen) -> PodObserved:
    return PodObserved(
        **seen,
        app=item.app,
        revision=item.revision,
        workload=item.workload,
        node=item.node,
        phase=item.phase,
        ready=item.ready,
        draining=item.draining,
        address=item.address,
        reason=item.reason,
        message=item.message,
        restarts=item.restarts,
        exit_code=item.exit_code,
        requests=item.requests,
        created_at=item.created_at,
        started_at=item.started_at,
        ready_at=item.ready_at,
        node_selector=item.node_selector,
        tolerations=item.tolerations,
        priority=item.priority,
        priority_class=item.priority_class,
        preempts=item.preempts,
    )


def _is_news(known: Inventory, fact: Living) -> bool:
    held = known.newest(key_of_fact(fact))
    return held is None or not _same(held, fact)


def _same(held: Living | ObjectGone, fact: Living | ObjectGone) -> bool:
    """Whether they differ in the epoch and the time alone; of what nobody writes by its version,
    nodes and endpoints, also in that.
    """
    equal: dict[str, object] = {"epoch": fact.epoch, "observed_at": fact.observed_at}
    if isinstance(fact, NodeObserved | EndpointsObserved):
        equal["resource_version"] = fact.resource_version
    return msgspec.structs.replace(held, **equal) == fact


def _place(fact: ClusterFact) -> tuple[int, bool]:
    return fact.resource_version, isinstance(fact, ObjectGone)


def _answer(
    known: Living | ObjectGone | None, late: Living | ObjectGone, stamp: Stamp, now: datetime
) -> Living | ObjectGone:
    if known is None:
        return _gone(late, stamp, now, version=late.resource_version - 1)
    return msgspec.structs.replace(known, epoch=stamp.epoch, observed_at=now)


def _gone(held: Living | ObjectGone, stamp: Stamp, now: datetime, *, version: int) -> ObjectGone:
    return ObjectGone(
        cluster=stamp.cluster,
        name=held.name,
        namespace=held.namespace,
        epoch=stamp.epoch,
        observed_at=now,
        uid=held.uid,
        resource_version=version,
        kind=kind_of(held),
        app="" if isinstance(held, NodeObserved) else held.app,
    )
