"""The nodes file, YAML or JSON: strict, so that a slip is an error that names its place."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import msgspec
import yaml

from midstage.cluster.objects import Node
from midstage.contracts.cluster import Amount, Taint
from midstage.local.errors import PlatformError

DEFAULT = Path(__file__).with_name("nodes.yaml")

NodeName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]


class NodeEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node: cores, MiB, whole GPUs, and who may use it."""

    name: NodeName
    cpu: Annotated[float, msgspec.Meta(gt=0, le=100_000)]
    memory_mb: Annotated[int, msgspec.Meta(gt=0)]
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 0
    labels: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()


class NodesFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    nodes: Annotated[tuple[NodeEntry, ...], msgspec.Meta(min_length=1)]


def read(file: Path) -> tuple[Node, ...]:
    """The nodes in ``file``; PlatformError with file, place and fault where it can't be."""
    try:
        entries = msgspec.convert(yaml.safe_load(file.read_text()), NodesFile).nodes
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as e:
        raise PlatformError(
            f"the nodes file {file} can't be used: {' '.join(str(e).split())}"
        ) from e
    twice = [name for name, times in Counter(each.name for each in entries).items() if times > 1]
    if twice:
        raise PlatformError(f"the nodes file {file} can't be used: {twice[0]} is in it twice")
    return tuple(_node(entry) for entry in entries)


def _node(entry: NodeEntry) -> Node:
    return Node(
        name=entry.name,
        capacity=Amount(cpu=entry.cpu, memory_mb=entry.memory_mb, gpus=entry.gpus),
        labels=entry.labels,
        taints=entry.taints,
        uid=f"node-{entry.name}",
    )
