"""The process kubelet as a child: the nodes of a cluster, on which pods are local processes."""

import sys
from functools import partial
from pathlib import Path

import msgspec

from midstage.local import probe
from midstage.local.ports import LOOPBACK
from midstage.local.supervisor import Child

NAME = "kubelet"
_FILE = "kubelet.json"


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """Where the kubelet takes faults (``POST {url}/v1/faults``), with the token in a file."""

    url: str
    token_file: str


def child(
    *,
    kubeconfig: Path,
    directory: Path,
    port: int,
    token_file: Path,
    nodes: Path | None = None,
    speed: float = 1.0,
    name: str = NAME,
) -> Child:
    """How it is run; ``nodes`` is a file as the local cluster's, None: those that it ships.

    ``speed`` scales the times of the programs that run as pods, and nothing else.
    """
    options = [
        *("--kubeconfig", str(kubeconfig)),
        *("--dir", str(directory)),
        *("--port", str(port)),
        *("--token-file", str(token_file)),
        *("--speed", f"{speed:g}"),
    ]
    if nodes is not None:
        options += ["--nodes", str(nodes)]
    return Child(
        name=name,
        command=[sys.executable, "-m", "midstage.local.kubelet", *options],
        unready=partial(probe.unready, url(port)),
    )


def url(port: int) -> str:
    """Its address."""
    return f"http://{LOOPBACK}:{port}"


def told(workers: Workers, *, beside: Path) -> None:
    """Write down where it is, beside the kubeconfig of its cluster, for who gets only that."""
    beside.with_name(_FILE).write_bytes(msgspec.json.encode(workers))


def known(*, beside: Path) -> Workers | None:
    """What ``told`` wrote down; None where nobody did."""
    file = beside.with_name(_FILE)
    return msgspec.json.decode(file.read_bytes(), type=Workers) if file.is_file() else None
