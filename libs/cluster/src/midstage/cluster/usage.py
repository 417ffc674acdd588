"""What nodes use where nobody measures them: their pods together. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from midstage.cluster.objects import NodeUse, PodUse


def by_node(uses: Iterable[PodUse]) -> Sequence[NodeUse]:
    """The pods of each node together, by its name; the GPUs' share is the mean of those known."""
    of: defaultdict[str, list[PodUse]] = defaultdict(list)
    for use in uses:
        if use.node:
            of[use.node].append(use)
    return [_together(node, held) for node, held in sorted(of.items())]


def _together(node: str, uses: Sequence[PodUse]) -> NodeUse:
    gpus = [use.gpu for use in uses if use.gpu is not None]
    return NodeUse(
        name=node,
        cpu=sum(use.cpu for use in uses),
        memory_mb=sum(use.memory_mb for use in uses),
        gpu=sum(gpus) / len(gpus) if gpus else None,
    )
