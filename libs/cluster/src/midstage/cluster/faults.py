"""Faults on demand: what goes wrong in a local cluster because somebody asked for it.

``POST /v1/faults`` takes one, told apart by ``fault``. They hold until they are taken back, or the
daemon starts anew.
"""

from typing import Annotated

import msgspec

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]


class FaultBase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all faults."""


class NodeDies(FaultBase, frozen=True, kw_only=True, tag_field="fault", tag="node_dies"):
    """Its pods' processes are killed with -9 and lost; after 2 s they are replaced elsewhere."""

    node: Word


class NodeReturns(FaultBase, frozen=True, kw_only=True, tag_field="fault", tag="node_returns"):
    """The node is ready again, empty, schedulable and of its own size."""

    node: Word


class Cordon(FaultBase, frozen=True, kw_only=True, tag_field="fault", tag="cordon"):
    """The node, or every node, takes no new pods; ``off``: it does again."""

    node: Word | None = None
    off: bool = False


class FillNode(FaultBase, frozen=True, kw_only=True, tag_field="fault", tag="fill_node"):
    """The node has no more room than its pods take now, until it returns."""

    node: Word


class CrashLoop(FaultBase, frozen=True, kw_only=True, tag_field="fault", tag="crash_loop"):
    """Pods of an application (or of one revision of it) end at once with ``exit_code``.

    Those that run are killed. ``off``: they start as they should again.
    """

    app: Word
    revision: Word | None = None
    exit_code: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1
    off: bool = False


class SlowStart(FaultBase, frozen=True, kw_only=True, tag_field="fault", tag="slow_start"):
    """Processes of an application's pods start ``seconds`` later; 0: at once again."""

    app: Word
    revision: Word | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)]


class ImagePull(FaultBase, frozen=True, kw_only=True, tag_field="fault", tag="image_pull"):
    """Images of an application (or of one revision of it) can't be pulled; who runs goes on.

    ``off``: they can again.
    """

    app: Word
    revision: Word | None = None
    off: bool = False


class KillPod(FaultBase, frozen=True, kw_only=True, tag_field="fault", tag="kill_pod"):
    """The pod's process gets a signal by name, as if from outside."""

    pod: Word
    signal: Annotated[str, msgspec.Meta(pattern="^SIG[A-Z0-9]+$")] = "SIGKILL"


Fault = NodeDies | NodeReturns | Cordon | FillNode | CrashLoop | SlowStart | ImagePull | KillPod
