"""What the API answers beside single pods: lists, watches, contents, nodes, writes."""

from datetime import datetime

import msgspec

from midstage.local.kubelet.shapes import Meta, Shape


class ListMeta(Shape, frozen=True, kw_only=True):
    """Up to when a list tells."""

    resource_version: str = "0"
    continue_: str = msgspec.field(default="", name="continue")


class PodList(Shape, frozen=True, kw_only=True):
    """Pods as they are at one moment, each to be read by itself."""

    metadata: ListMeta
    items: tuple[msgspec.Raw, ...] = ()


class Head(Shape, frozen=True, kw_only=True):
    """What a watch event is about, before it is known what it is."""

    type: str
    object: msgspec.Raw


class Only(Shape, frozen=True, kw_only=True):
    """An object of which the name tags alone matter: bookmarks, answers to writes."""

    metadata: ListMeta


class Failure(Shape, frozen=True, kw_only=True):
    """What an ERROR event says."""

    code: int = 0
    message: str = ""


class Content(Shape, frozen=True, kw_only=True):
    """A secret's or a config map's content; of a secret all values are base64."""

    data: dict[str, str] = {}
    binary_data: dict[str, str] = {}


class TokenStatus(Shape, frozen=True, kw_only=True):
    """The token itself, and when it runs out."""

    token: str
    expiration_timestamp: datetime


class GivenToken(Shape, frozen=True, kw_only=True):
    """What the answer to the request of a token says."""

    status: TokenStatus


class Taint(Shape, frozen=True, kw_only=True):
    """Keeps pods off a node."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"
    time_added: datetime | None = None


class NodeSpec(Shape, frozen=True, kw_only=True):
    """What others say of a node."""

    taints: tuple[Taint, ...] = ()


class Node(Shape, frozen=True, kw_only=True):
    """A node of the API."""

    metadata: Meta
    spec: NodeSpec = NodeSpec()


class Written(Shape, frozen=True, kw_only=True):
    """What an answer to a write says of the object."""

    metadata: Meta
