"""Faults on demand, carried out on Kubernetes: on nodes as they are told, on pods' processes."""

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
from midstage.local.kubelet.amounts import requested
from midstage.local.kubelet.kubelet import Kubelet
from midstage.local.kubelet.nodes import Nodes
from midstage.local.pods.faults import InForce


class Faulting:
    """Does what a fault says."""

    def __init__(self, *, nodes: Nodes, kubelet: Kubelet, in_force: InForce) -> None:
        """Nothing is wrong yet."""
        self._nodes = nodes
        self._kubelet = kubelet
        self._in_force = in_force

    async def carry_out(self, fault: Fault) -> None:
        """Let it happen; RefusedError or UnavailableError where it can't."""
        match fault:
            case NodeDies() | NodeReturns() | FillNode() | Cordon():
                await self._on_node(fault)
            case CrashLoop():
                self._in_force.crash_loop(fault)
                if not fault.off:
                    self._kubelet.crash(fault.app, fault.revision)
            case SlowStart():
                self._in_force.slow_start(fault)
            case ImagePull():
                self._in_force.image_pull(fault)
            case KillPod():
                self._kubelet.signal(fault.pod, fault.signal)
            case _:
                assert_never(fault)

    async def _on_node(self, fault: NodeDies | NodeReturns | FillNode | Cordon) -> None:
        match fault:
            case NodeDies():
                self._nodes.die(fault.node)
                self._kubelet.lose(fault.node)
            case NodeReturns():
                await self._nodes.revive(fault.node)
                self._kubelet.find(fault.node)
            case FillNode():
                self._nodes.limit(fault.node, requested(self._kubelet.on(fault.node)))
            case Cordon():
                for node in [fault.node] if fault.node else self._nodes.names:
                    await self._nodes.cordon(node, off=fault.off)
            case _:
                assert_never(fault)
