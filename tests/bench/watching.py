"""What a watch event costs until its fact stands in Kafka, beside a client that only forwards.

The same cluster in memory changes one pod after the other. Ours is control: lease, fold, a typed
fact, the stream and the inventory. The peer sends the change's own bytes on and decides nothing.
"""

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from midstage.chassis.settings import ensure_secret
from midstage.cluster.memory import MemoryCluster
from midstage.cluster.objects import Node, Template, Workload
from midstage.contracts.cluster import Amount
from midstage.contracts.topics import APPS, CLUSTER, INVENTORY, SIGNALS
from midstage.control.config import Settings
from midstage.control.main import Cluster, compose
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of
from midstage.local import probe
from midstage.local.ports import LOOPBACK, found
from midstage.testkit.waiting import within
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved, quantile
from tests.bench.topics import created, removed

GROUP: Final = "control"
P50: Final = Measure(name="watch event to its fact, p50", unit="ms", more_is_better=False)
P99: Final = Measure(name="watch event to its fact, p99", unit="ms", more_is_better=False)
FORWARDED, OURS = "bare watch and confluent-kafka", "midstage control"
_PODS: Final = 50
_WITHIN_S: Final = 30.0


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """One change after the other, each until a consumer has read what came of it."""
    changes = max(20, size.commands // 5)
    cluster = _cluster()
    with (
        _forwarding(bootstrap, cluster) as forwarded,
        controlling(bootstrap, cluster, directory) as ours,
    ):
        taken = interleaved(
            [
                Contestant(name=name, run=partial(_timed, bootstrap, cluster, topic, changes))
                for name, topic in ((FORWARDED, forwarded), (OURS, ours))
            ],
            group=GROUP,
            rounds=size.rounds,
        )
    removed(bootstrap, forwarded, ours)
    counts = dict.fromkeys((FORWARDED, OURS), f"{changes:,} changes")
    return figures(group=GROUP, measures=[P50, P99], taken=taken, peers=(FORWARDED,), counts=counts)


def _cluster() -> MemoryCluster:
    node = Node(name="node", capacity=Amount(cpu=1000, memory_mb=1_000_000))
    cluster = MemoryCluster(name="bench", nodes=[node])
    cluster.put_workload(
        Workload(
            name="bench-1",
            app="bench",
            revision="1",
            template=Template(image="bench:1"),
            replicas=_PODS,
        ),
        expected=0,
    )
    for pod in cluster.pods():
        cluster.start(pod.name)
        cluster.ready(pod.name)
    return cluster


def _timed(bootstrap: str, cluster: MemoryCluster, topic: str, changes: int) -> Mapping[str, float]:
    """Each change is a mark set or taken back, told apart by its resource version."""
    took_ms: list[float] = []
    with consuming(bootstrap, topic) as consumer:
        for number in range(changes):
            pod = cluster.pods()[number % _PODS]
            begin = time.perf_counter()
            after = cluster.drain_pod(pod.name, uid=pod.uid, draining=not pod.draining)
            _await(consumer, b'"resource_version":%d' % after.resource_version)
            took_ms.append((time.perf_counter() - begin) * 1000)
    return {P50.name: quantile(took_ms, 0.5), P99.name: quantile(took_ms, 0.99)}


@contextmanager
def consuming(bootstrap: str, topic: str) -> Iterator[Consumer]:
    """A consumer of all that is written from now on."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": topic, "fetch.wait.max.ms": 10}
    )
    places = [
        TopicPartition(topic, number)
        for number in consumer.list_topics(topic, _WITHIN_S).topics[topic].partitions
    ]
    ends = [_end(consumer, place) for place in places]
    consumer.assign(
        [
            TopicPartition(topic, place.partition, end)
            for place, end in zip(places, ends, strict=True)
        ]
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _end(consumer: Consumer, place: TopicPartition) -> int:
    """Where a partition ends; one that was just made may have no leader yet."""
    deadline = time.monotonic() + _WITHIN_S
    while True:
        try:
            return consumer.get_watermark_offsets(place, _WITHIN_S)[1]
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _await(consumer: Consumer, said: bytes) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while time.monotonic() < deadline:
        read = consumer.poll(_WITHIN_S)
        if read is not None and said in (read.value() or b""):
            return
    raise TimeoutError(f"a change was not told within {_WITHIN_S:.0f} s")


@contextmanager
def _forwarding(bootstrap: str, cluster: MemoryCluster) -> Iterator[str]:
    """The bare client: watch, encode, produce."""
    topic = created(bootstrap, "forwarded")
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 0}
    )
    stop = threading.Event()
    since = cluster.list().resource_version  # not when the thread comes to it: it would miss some

    def forward() -> None:
        for change in cluster.watch(since):
            if stop.is_set():
                return
            producer.produce(topic, value=msgspec.json.encode(change), key=b"pod")
            producer.poll(0)

    forwarding = threading.Thread(target=forward, name="forward", daemon=True)
    forwarding.start()
    try:
        yield topic
    finally:
        stop.set()
        forwarding.join(_WITHIN_S)
        producer.flush(_WITHIN_S)


@contextmanager
def controlling(bootstrap: str, cluster: Cluster, directory: Path) -> Iterator[str]:
    """The whole service on topics of its own, in a thread of this process; its stream's name."""
    mark = uuid.uuid4().hex[:8]
    stream, inventory = (
        replace(each, name=f"bench.{each.name}.{mark}") for each in (CLUSTER, INVENTORY)
    )
    log = KafkaLog(bootstrap=bootstrap, client_id="bench")
    log.create(
        [
            settings
            for topic in (stream, inventory, APPS, SIGNALS)
            for settings in settings_of(topic)
        ]
    )
    (port,) = found(1)
    ensure_secret(directory / "control-token")
    process = compose(
        Settings(
            kafka=bootstrap,
            host=LOOPBACK,
            port=port,
            token_file=directory / "control-token",
            clusters={},
            cluster_token_file=directory / "control-token",
            lease_s=6.0,
            usage_every_s=2.0,
            streams=1,
            dcgm_urls={},
            namespace="default",
        ),
        log=log,
        clusters=[cluster],
        stream=stream,
        inventory=inventory,
    )
    serving = threading.Thread(target=process.run, name="control")
    serving.start()
    try:
        within(_WITHIN_S, lambda: probe.unready(f"http://{LOOPBACK}:{port}") is None)
        yield stream.name
    finally:
        process.stop()
        serving.join(_WITHIN_S)
        removed(bootstrap, inventory.name)
