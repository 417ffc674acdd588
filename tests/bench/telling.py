"""What a change in a real Kubernetes costs until its fact stands in Kafka, 200 changes a second.

Pods that nobody runs are marked and unmarked at that rate. Ours is control on the raw watch; the
peer watches the same pods, sends each event's bytes on and decides nothing. Each is a process of
its own; whoever changes and reads is another.
"""

import contextlib
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from confluent_kafka import Consumer

from midstage.cluster.kubernetes.cluster import KubernetesCluster
from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.names import APP, MANAGED_BY, MIDSTAGE, REVISION, WORKLOAD
from midstage.cluster.objects import Pod
from midstage.local.kubernetes.running import running_kubernetes
from tests.bench import teller
from tests.bench.children import last_words, module, running
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved, quantile, say
from tests.bench.topics import removed
from tests.bench.watching import consuming

GROUP: Final = "kubernetes"
PER_S: Final = 200
P50: Final = Measure(name="pod change to its fact, p50", unit="ms", more_is_better=False)
P99: Final = Measure(name="pod change to its fact, p99", unit="ms", more_is_better=False)
FORWARDED, OURS = "bare watch and confluent-kafka", "midstage control"
_PODS: Final = 50
_AT_ONCE: Final = 8
_WITHIN_S: Final = 60.0
_VERSION: Final = re.compile(rb'"(?:resource_version|resourceVersion)": ?"?(\d+)')


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """So many changes a round; one that is told to nobody within a minute raises TimeoutError."""
    changes = max(100, size.commands)
    with (
        running_kubernetes(directory / "telling", say=say) as kubernetes,
        KubernetesCluster(
            name="bench", where=(where := f"kubeconfig:{kubernetes.kubeconfig}")
        ) as cluster,
    ):
        pods = _pods(cluster, where)
        told = [
            (name, partial(_told, who, bootstrap, kubernetes.kubeconfig, directory))
            for name, who in ((FORWARDED, teller.FORWARDED), (OURS, teller.OURS))
        ]
        taken = interleaved(
            [
                Contestant(name=name, run=partial(_run, bootstrap, cluster, pods, how, changes))
                for name, how in told
            ],
            group=GROUP,
            rounds=size.rounds,
        )
    counts = dict.fromkeys((FORWARDED, OURS), f"{changes:,} changes, {PER_S}/s")
    return figures(group=GROUP, measures=[P50, P99], taken=taken, peers=(FORWARDED,), counts=counts)


def _run(
    bootstrap: str,
    cluster: KubernetesCluster,
    pods: Sequence[Pod],
    told: Callable[[], contextlib.AbstractContextManager[str]],
    changes: int,
) -> Mapping[str, float]:
    """From the API server's answer to a change until a consumer has read what came of it."""
    with told() as topic, consuming(bootstrap, topic) as consumer:
        read = _Read(consumer)
        done = _changed(cluster, pods, changes)
        took_ms = [1000 * (read.at(version) - at) for version, at in done.items()]
        read.close()
    removed(bootstrap, topic)
    return {P50.name: quantile(took_ms, 0.5), P99.name: quantile(took_ms, 0.99)}


def _changed(cluster: KubernetesCluster, pods: Sequence[Pod], changes: int) -> Mapping[int, float]:
    """When each change was answered, by its resource version; begun at the rate, whatever comes."""
    begin = time.perf_counter()

    def one(number: int) -> tuple[int, float]:
        pod = pods[number % len(pods)]
        time.sleep(max(0.0, begin + number / PER_S - time.perf_counter()))
        marked = number // len(pods) % 2 == 0
        after = cluster.drain_pod(pod.name, uid=pod.uid, draining=marked)
        return after.resource_version, time.perf_counter()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(pool.map(one, range(changes)))


class _Read:
    """When each resource version was first read from a topic."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._first: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._all, name="read", daemon=True)
        self._thread.start()

    def at(self, version: int) -> float:
        deadline = time.monotonic() + _WITHIN_S
        while version not in self._first:
            if time.monotonic() > deadline:
                raise TimeoutError(f"version {version} was not told within {_WITHIN_S:.0f} s")
            time.sleep(0.01)
        return self._first[version]

    def close(self) -> None:
        self._over.set()
        self._thread.join(_WITHIN_S)

    def _all(self) -> None:
        while not self._over.is_set():
            message = self._consumer.poll(0.1)
            at = time.perf_counter()
            for version in _VERSION.findall((message and message.value()) or b""):
                self._first.setdefault(int(version), at)


@contextlib.contextmanager
def _told(who: str, bootstrap: str, kubeconfig: Path, directory: Path) -> Iterator[str]:
    """The topic in which a process of its own tells changes, as long as the block runs."""
    log = directory / f"{who}.log"
    command = module("tests.bench.teller", who, bootstrap, str(kubeconfig), str(directory))
    with running(command, log=log) as child:
        assert child.stdout is not None
        topic = child.stdout.readline().strip()
        assert topic, last_words(log)
        yield topic


def _pods(cluster: KubernetesCluster, where: str) -> Sequence[Pod]:
    """Pods of an application of their own, that no scheduler looks at."""
    app = f"telling-{uuid.uuid4().hex[:6]}"
    with contextlib.closing(Connection(name="bench", where=where)) as connection:
        for number in range(_PODS):
            body = msgspec.json.encode(_pod(app, number))
            connection.request("POST", teller.PODS, body=body)
    return [pod for pod in cluster.list().pods if pod.app == app]


def _pod(app: str, number: int) -> object:
    labels = {APP: app, REVISION: "1", WORKLOAD: f"{app}-1", MANAGED_BY: MIDSTAGE}
    return {
        "metadata": {"name": f"{app}-1-{number}", "labels": labels},
        "spec": {
            "schedulerName": "nobody",
            "automountServiceAccountToken": False,
            "containers": [{"name": "app", "image": "bench:1"}],
        },
    }
