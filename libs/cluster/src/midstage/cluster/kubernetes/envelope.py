"""What stands around every object that Kubernetes writes as protobuf. Pure."""

from midstage.cluster.kubernetes import messages
from midstage.cluster.kubernetes.protobuf import reader

MAGIC = b"k8s\0"

_read = reader(messages.Unknown)


def opened(body: bytes) -> bytes:
    """The object's own message; ValueError where there is no envelope around it."""
    if not body.startswith(MAGIC):
        raise ValueError(f"{body[:4]!r} begins no object")
    return _read(body[len(MAGIC) :]).raw
