"""A whole cluster as one value that changes: objects, their history, and its own controllers.

Pure: time and names come in, no process is run. After each method the workloads have their pods,
pods that fit are on nodes, and every change has a version. Told by a kubelet what became of pods,
it is the local cluster; told by a test, it is the fake. For one thread at a time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from midstage.cluster import disruption, fit, preview
from midstage.cluster.check import check, expect, refuse_another, refuse_older
from midstage.cluster.controller import beside, counts, pending, placed, surplus
from midstage.cluster.history import KEEP, History
from midstage.cluster.objects import Change, Listing, Node, Pod, Preview, Template, Workload
from midstage.cluster.preemption import victims, worth
from midstage.cluster.protocol import ConflictError, Ending
from midstage.contracts.cluster import Amount, Phase
from midstage.contracts.errors import RefusedError, UnavailableError

LOST_FOR = timedelta(seconds=2)
"""How long a pod of a dead node is kept as lost before it is replaced elsewhere."""
_SUFFIX = 5
_NO_CLASSES: Mapping[str, int] = {}
_ON_A_NODE = (Phase.STARTING, Phase.RUNNING, Phase.BACKOFF)


class State:
    """The objects of one cluster; ``fresh`` gives hex digits that were never given before."""

    def __init__(
        self,
        *,
        nodes: Iterable[Node],
        fresh: Callable[[], str],
        begin: int = 0,
        keep: int = KEEP,
        lost_for: timedelta = LOST_FOR,
        priorities: Mapping[str, int] = _NO_CLASSES,
    ) -> None:
        """A cluster of ``nodes`` whose versions go on from ``begin``; ``priorities`` by class."""
        self._priorities = priorities
        self._fresh = fresh
        self._lost_for = lost_for
        self._history = History(begin=begin, keep=keep)
        self._nodes: dict[str, Node] = {}
        self._pods: dict[str, Pod] = {}
        self._workloads: dict[str, Workload] = {}
        self._templates: dict[str, Template] = {}
        self._lost_at: dict[str, datetime] = {}
        self._nominated: dict[str, str] = {}
        for node in nodes:
            self._write_node(msgspec.structs.replace(node, uid=node.uid or fresh()))

    @property
    def version(self) -> int:
        """The resource version of the newest change."""
        return self._history.version

    def listing(self) -> Listing:
        """Everything now."""
        return Listing(
            resource_version=self.version,
            nodes=tuple(self._nodes.values()),
            pods=tuple(self._pods.values()),
            workloads=tuple(self._workloads.values()),
        )

    def after(self, since: int) -> Sequence[Change]:
        """The changes after ``since``; ExpiredError where they are not kept any more."""
        return self._history.after(since)

    def forget(self) -> None:
        """Keep none of the changes so far: watches from before have to list again."""
        self._history.forget()

    def pods(self) -> Sequence[Pod]:
        """All pods now."""
        return tuple(self._pods.values())

    def pod(self, name: str) -> Pod | None:
        """The pod of that name, None where there is none."""
        return self._pods.get(name)

    def workloads(self) -> Sequence[Workload]:
        """All workloads now."""
        return tuple(self._workloads.values())

    def workload(self, name: str) -> Workload | None:
        """The workload of that name, None where there is none."""
        return self._workloads.get(name)

    def node(self, name: str) -> Node:
        """The node of that name; RefusedError (404) where there is none."""
        if name not in self._nodes:
            raise RefusedError(f"there is no node {name}", status=404)
        return self._nodes[name]

    def template(self, pod: str) -> Template:
        """What the pod runs: its workload's template of when it was made."""
        return self._templates[pod]

    def put_workload(
        self, workload: Workload, *, expected: int, now: datetime, ending: Ending = None
    ) -> Workload:
        """As ``Cluster.put_workload``; what is so already is left as it is."""
        known = self._looked_at(workload, expected)
        wanted = msgspec.structs.replace(
            workload,
            uid=known.uid if known else self._fresh(),
            ready=known.ready if known else 0,
            resource_version=known.resource_version if known else 0,
        )
        self._spare(workload.name, wanted, ending)
        if wanted != known:
            self._write_workload(wanted)
        self.settle(now)
        return self._workloads[workload.name]

    def scale_workload(
        self, name: str, *, replicas: int, expected: int, now: datetime, ending: Ending = None
    ) -> Workload:
        """As ``Cluster.scale_workload``."""
        known = self._workloads.get(name)
        expect(known, name, expected)
        if known is None:
            raise ConflictError(f"workload {name} is not there: read again")
        wanted = msgspec.structs.replace(known, replicas=replicas)
        return self.put_workload(wanted, expected=expected, now=now, ending=ending)

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        """As ``Cluster.preview``."""
        known = self._looked_at(workload, expected)
        return Preview(changes=preview.of_workload(known, workload))

    def delete_workload(
        self, name: str, *, expected: int, now: datetime, ending: Ending = None
    ) -> None:
        """As ``Cluster.delete_workload``."""
        known = self._workloads.get(name)
        if known is None:
            return
        expect(known, name, expected)
        self._spare(name, None, ending)
        del self._workloads[name]
        self._history.wrote(workload=known, gone=True)
        self.settle(now)

    def restore(self, workload: Workload, *, now: datetime) -> None:
        """A workload of before the cluster's own restart: the same uid, a new version and pods."""
        self._write_workload(msgspec.structs.replace(workload, ready=0))
        self.settle(now)

    def drain_pod(self, name: str, *, uid: str, draining: bool) -> Pod:
        """As ``Cluster.drain_pod``."""
        pod = self._pods.get(name)
        if pod is None or pod.uid != uid:
            raise ConflictError(f"there is no pod {name} with uid {uid}: read again")
        return self._changed(pod, draining=draining)

    def evict_pod(self, name: str, *, uid: str, now: datetime) -> None:
        """As ``Cluster.evict_pod``."""
        pod = self._pods.get(name)
        if pod is None or pod.uid != uid:
            raise ConflictError(f"there is no pod {name} with uid {uid}: read again")
        if why := disruption.refusal(pod, self._pods.values(), self._workloads.values()):
            raise UnavailableError(f"{name} can't go yet: {why}")
        if pod.phase is not Phase.STOPPING:
            self._end(pod)
        self.settle(now)

    def started(self, name: str, *, address: str, now: datetime) -> None:
        """Its process runs, and will serve at ``address``; after an end that is a restart."""
        if (pod := self._living(name)) is None:
            return
        again = pod.phase is Phase.BACKOFF and pod.exit_code is not None
        self._changed(
            pod,
            phase=Phase.STARTING,
            ready=False,
            address=address,
            started_at=now,
            restarts=pod.restarts + again,
            reason="",
            message=pod.message if again else "",
        )
        if pod.ready:
            self.settle(now)

    def answered(self, name: str, *, ready: bool, now: datetime, message: str = "") -> None:
        """The readiness probe's verdict; ``message`` says why not."""
        pod = self._pods.get(name)
        if pod is None or pod.ready == ready or pod.phase not in (Phase.STARTING, Phase.RUNNING):
            return
        self._changed(
            pod,
            ready=ready,
            phase=Phase.RUNNING,
            ready_at=now if ready else pod.ready_at,
            reason="" if ready else "Unready",
            message=message,
        )
        self.settle(now)

    def ended(
        self, name: str, *, exit_code: int | None, reason: str, message: str, now: datetime
    ) -> None:
        """Its process ended, or none could be started (``exit_code`` None); the next one waits."""
        if (pod := self._living(name)) is None:
            return
        self._changed(
            pod,
            phase=Phase.BACKOFF,
            ready=False,
            exit_code=exit_code,
            reason=reason,
            message=message,
        )
        self.settle(now)

    def stopped(self, name: str, *, now: datetime) -> None:
        """A pod that was told to end has ended."""
        pod = self._pods.get(name)
        if pod is not None and pod.phase is Phase.STOPPING:
            self._remove(pod)
            self.settle(now)

    def cordon(self, name: str, *, on: bool, emptied: bool, now: datetime) -> Node:
        """As ``Cluster.cordon``."""
        wanted = msgspec.structs.replace(
            self.node(name), schedulable=not on, emptied=on and emptied
        )
        if wanted != self._nodes[name]:
            self._write_node(wanted)
        self.settle(now)
        return self._nodes[name]

    def set_node(
        self,
        name: str,
        *,
        now: datetime,
        ready: bool | None = None,
        schedulable: bool | None = None,
        capacity: Amount | None = None,
        reason: str = "",
    ) -> Node:
        """A node dies, returns, is cordoned or has another size; RefusedError (404): no such."""
        node = self.node(name)
        changed = msgspec.structs.replace(
            node,
            ready=node.ready if ready is None else ready,
            schedulable=node.schedulable if schedulable is None else schedulable,
            capacity=capacity or node.capacity,
            reason=reason,
        )
        if changed != node:
            self._write_node(changed)
        if not changed.ready:
            self._lose(name, now)
        self.settle(now)
        return self._nodes[name]

    def due(self) -> datetime | None:
        """When ``settle`` will have something to do though nothing happens; None: never."""
        return min(self._lost_at.values(), default=None)

    def settle(self, now: datetime) -> None:
        """Let the controllers do all that can be done now."""
        for name, due in list(self._lost_at.items()):
            if due <= now:
                self._remove(self._pods[name])
        self._size(now)
        self._schedule()
        self._count()

    def _looked_at(self, workload: Workload, expected: int) -> Workload | None:
        """What is there in place of a workload that may be written; errors as for the write."""
        check(workload)
        known = self._workloads.get(workload.name)
        expect(known, workload.name, expected)
        if known is None:
            return None
        refuse_another(known, workload)
        refuse_older(known, workload)
        return known

    def _size(self, now: datetime) -> None:
        of: dict[str, list[Pod]] = {name: [] for name in self._workloads}
        for pod in self._pods.values():
            of.setdefault(pod.workload, []).append(pod)
        for name, pods in of.items():
            workload = self._workloads.get(name)
            for pod in surplus(pods, workload):
                self._end(pod)
            if workload is not None:
                for _ in range(workload.replicas - sum(counts(pod) for pod in pods)):
                    self._make(workload, now)

    def _spare(self, name: str, wanted: Workload | None, ending: Ending) -> None:
        """ConflictError where a pod that was ever ready would end and is not in ``ending``."""
        if ending is None:
            return
        own = (pod for pod in self._pods.values() if pod.workload == name)
        for pod in surplus(own, wanted):
            if pod.ready_at is not None and (pod.uid, pod.resource_version) not in ending:
                raise ConflictError(f"pod {pod.name} would end and was not to: read again")

    def _schedule(self) -> None:
        nodes = tuple(self._nodes.values())
        left = fit.free(nodes, tuple(self._pods.values()))
        waiting = [each for each in self._pods.values() if each.phase is Phase.PENDING]
        for pod in sorted(waiting, key=worth, reverse=True):
            template = self.template(pod.name)
            near = beside(pod, self._pods.values()) if template.spread else {}
            after = self._write_pod(placed(pod, template, nodes=nodes, left=left, beside=near))
            if not after.node and self._priorities:
                pods = tuple(self._pods.values())
                for each in victims(pod, template, nodes=nodes, pods=pods, beside=near):
                    self._nominated[pod.name] = each.node
                    self._end(each)
            # what was evicted for it is not for those of less: they would be evicted in turn
            where = after.node or self._nominated.get(pod.name, "")
            if where in left:
                left[where] = fit.less(left[where], after.requests)

    def _make(self, workload: Workload, now: datetime) -> None:
        uid = self._fresh()
        name = f"{workload.name}-{uid[-_SUFFIX:]}"
        if name in self._pods:
            name = f"{workload.name}-{uid}"
        self._templates[name] = workload.template
        made = pending(workload, name=name, uid=uid, now=now)
        priority = self._priority(workload.template)
        self._write_pod(msgspec.structs.replace(made, priority=priority))

    def _priority(self, template: Template) -> int | None:
        return self._priorities.get(template.priority or "", 0) if self._priorities else None

    def _end(self, pod: Pod) -> None:
        if pod.phase in (Phase.PENDING, Phase.LOST):
            self._remove(pod)
        else:
            self._changed(pod, phase=Phase.STOPPING, ready=False, reason="", message="")

    def _lose(self, node: str, now: datetime) -> None:
        for pod in list(self._pods.values()):
            if pod.node != node or pod.phase is Phase.LOST:
                continue
            if pod.phase is Phase.STOPPING:
                self._remove(pod)
                continue
            self._lost_at[pod.name] = now + self._lost_for
            self._changed(
                pod,
                phase=Phase.LOST,
                ready=False,
                reason="NodeLost",
                message=f"node {node} is not ready",
            )

    def _remove(self, pod: Pod) -> None:
        del self._pods[pod.name]
        self._templates.pop(pod.name, None)
        self._lost_at.pop(pod.name, None)
        self._nominated.pop(pod.name, None)
        self._history.wrote(pod=msgspec.structs.replace(pod, ready=False), gone=True)

    def _count(self) -> None:
        for workload in list(self._workloads.values()):
            ready = sum(p.ready for p in self._pods.values() if p.workload == workload.name)
            if ready != workload.ready:
                self._write_workload(msgspec.structs.replace(workload, ready=ready))

    def _living(self, name: str) -> Pod | None:
        pod = self._pods.get(name)
        return pod if pod is not None and pod.phase in _ON_A_NODE else None

    def _changed(self, pod: Pod, **fields: object) -> Pod:
        return self._write_pod(msgspec.structs.replace(pod, **fields))

    def _write_pod(self, pod: Pod) -> Pod:
        if self._pods.get(pod.name) != pod:
            written = self._history.wrote(pod=pod).pod
            assert written is not None
            self._pods[pod.name] = written
        return self._pods[pod.name]

    def _write_node(self, node: Node) -> None:
        written = self._history.wrote(node=node).node
        assert written is not None
        self._nodes[node.name] = written

    def _write_workload(self, workload: Workload) -> None:
        written = self._history.wrote(workload=workload).workload
        assert written is not None
        self._workloads[workload.name] = written
