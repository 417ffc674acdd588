"""Faults on demand, carried out: on nodes in the state, on pods through their lives."""

from collections.abc import Callable, Mapping
from typing import assert_never

from midstage.cluster.faults import (
    Cordon,
    CrashLoop,
    Fault,
    FillNode,
    ImagePull,
    KillPod,
    NodeDies,
    NodeReturns,
    SlowStart,
)
from midstage.cluster.objects import Node
from midstage.contracts.cluster import Amount, Phase
from midstage.contracts.errors import RefusedError
from midstage.local.cluster.hub import Hub
from midstage.local.pods.faults import InForce

_KILL = "SIGKILL"


class Breaking:
    """Does what a fault says; ``send`` signals a pod's process."""

    def __init__(
        self,
        *,
        hub: Hub,
        nodes: Mapping[str, Node],
        in_force: InForce,
        send: Callable[[str, str], int],
    ) -> None:
        """``nodes`` as they are when nothing is wrong."""
        self._hub = hub
        self._nodes = nodes
        self._in_force = in_force
        self._send = send

    def carry_out(self, fault: Fault) -> None:
        """Let it happen; RefusedError where it can't."""
        match fault:
            case NodeDies() | NodeReturns() | FillNode() | Cordon():
                self._on_node(fault)
            case CrashLoop():
                self._in_force.crash_loop(fault)
                if not fault.off:
                    self._kill(fault.app, fault.revision)
            case SlowStart():
                self._in_force.slow_start(fault)
            case ImagePull():
                self._in_force.image_pull(fault)
            case KillPod():
                self._send(fault.pod, fault.signal)
            case _:
                assert_never(fault)

    def _on_node(self, fault: NodeDies | NodeReturns | FillNode | Cordon) -> None:
        match fault:
            case NodeDies():
                self._set(fault.node, ready=False, reason="it died on demand")
            case NodeReturns():
                self._hub.state.node(fault.node)
                own = self._nodes[fault.node].capacity
                self._set(fault.node, ready=True, schedulable=True, capacity=own)
            case FillNode():
                self._set(fault.node, capacity=self._taken(fault.node), reason="filled on demand")
            case Cordon():
                for node in [fault.node] if fault.node else list(self._nodes):
                    self._set(node, schedulable=fault.off)
            case _:
                assert_never(fault)

    def _set(
        self,
        node: str,
        *,
        ready: bool | None = None,
        schedulable: bool | None = None,
        capacity: Amount | None = None,
        reason: str = "",
    ) -> None:
        with self._hub.changing() as state:
            state.set_node(
                node,
                ready=ready,
                schedulable=schedulable,
                capacity=capacity,
                reason=reason,
                now=self._hub.now(),
            )

    def _taken(self, node: str) -> Amount:
        """What the pods on the node have requested together."""
        requests = [
            pod.requests
            for pod in self._hub.state.pods()
            if pod.node == node and pod.phase is not Phase.LOST
        ]
        return Amount(
            cpu=sum(each.cpu for each in requests),
            memory_mb=sum(each.memory_mb for each in requests),
            gpus=sum(each.gpus for each in requests),
        )

    def _kill(self, app: str, revision: str | None) -> None:
        for pod in self._hub.state.pods():
            if pod.app == app and revision in (None, pod.revision):
                try:
                    self._send(pod.name, _KILL)
                except RefusedError:
                    continue  # it has no process now: its next start crashes
