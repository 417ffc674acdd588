"""One contestant of ``telling`` in a process of its own, as it runs in production.

``python -m tests.bench.teller ours|forwarded BOOTSTRAP KUBECONFIG DIRECTORY`` prints the topic that
it tells changes in once it does, and ends with SIGTERM.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from midstage.cluster.kubernetes.cluster import KubernetesCluster
from midstage.cluster.kubernetes.connection import Connection
from tests.bench.topics import created
from tests.bench.watching import controlling

OURS, FORWARDED = "ours", "forwarded"
PODS: Final = "/api/v1/namespaces/default/pods"
_WITHIN_S: Final = 60.0


def main(arguments: list[str]) -> None:
    """Tell until the end."""
    who, bootstrap, kubeconfig, directory = arguments
    where, over = f"kubeconfig:{kubeconfig}", threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    telling = (
        _controlled(bootstrap, where, Path(directory))
        if who == OURS
        else _forwarded(bootstrap, where)
    )
    with telling as topic:
        sys.stdout.write(f"{topic}\n")
        sys.stdout.flush()
        over.wait()


@contextlib.contextmanager
def _controlled(bootstrap: str, where: str, directory: Path) -> Iterator[str]:
    with (
        KubernetesCluster(name="bench", where=where) as cluster,
        controlling(bootstrap, cluster, directory) as topic,
    ):
        yield topic


@contextlib.contextmanager
def _forwarded(bootstrap: str, where: str) -> Iterator[str]:
    """The bare client: each line of a watch as it came."""
    topic = created(bootstrap, "forwarded")
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 0}
    )
    begun = threading.Event()

    def forward() -> None:
        with contextlib.closing(Connection(name="bench", where=where)) as connection:
            query = {"watch": "1", "allowWatchBookmarks": "true"}
            with connection.stream(PODS, query=query, silent_s=_WITHIN_S) as stream:
                rest = b""
                for piece in stream.pieces:
                    begun.set()
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        producer.produce(topic, value=line, key=b"pod")
                    producer.poll(0)

    threading.Thread(target=forward, name="forward", daemon=True).start()
    begun.wait(_WITHIN_S)
    yield topic
    producer.flush(_WITHIN_S)


if __name__ == "__main__":
    main(sys.argv[1:])
