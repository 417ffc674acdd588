"""Whom a scheduler evicts so that a pod of more priority finds room, as Kubernetes' does. Pure.

On a node all pods of less priority are thought away; if the pod fits then, as many of them as can
stay do, those of most priority first. Of the nodes the one is taken whose greatest loss is least.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from midstage.cluster import fit
from midstage.cluster.objects import Node, Pod, Template
from midstage.contracts.cluster import Amount, Phase


def victims(
    pod: Pod,
    template: Template,
    *,
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    beside: Mapping[str, int],
) -> Sequence[Pod]:
    """The pods to be evicted; none where that would not help, or enough of them end already."""
    staying = [each for each in pods if each.phase is not Phase.STOPPING]
    if fit.place(template, nodes, fit.free(nodes, staying), beside=beside) is not None:
        return ()

    def fits(node: str, gone: Sequence[Pod]) -> bool:
        left = fit.free(nodes, [each for each in staying if each not in gone])
        full = {each: Amount() for each in left if each != node}
        return fit.place(template, nodes, {**left, **full}, beside=beside) == node

    found = []
    for node in nodes:
        on_it = [each for each in staying if each.node == node.name]
        less = sorted((each for each in on_it if worth(each) < worth(pod)), key=worth)
        if less and fits(node.name, less):
            found.append(_needed(less, partial(fits, node.name)))
    return min(found, key=_loss, default=())


def worth(pod: Pod) -> int:
    """What the scheduler goes by."""
    return pod.priority or 0


def _needed(less: Sequence[Pod], fits: Callable[[Sequence[Pod]], bool]) -> Sequence[Pod]:
    """Without those that can stay, of whom the last have the first choice."""
    gone = list(less)
    for each in reversed(less):
        rest = [other for other in gone if other is not each]
        if fits(rest):
            gone = rest
    return gone


def _loss(gone: Sequence[Pod]) -> tuple[int, int, str]:
    return (max(worth(each) for each in gone), len(gone), gone[0].node)
