"""What a page of a large inventory costs: asked over HTTP of a whole control with 10,000 pods."""

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from midstage.chassis.settings import ensure_secret
from midstage.cluster.memory import MemoryCluster
from midstage.cluster.objects import Node, Template, Workload
from midstage.contracts.cluster import Amount
from midstage.contracts.topics import APPS, CLUSTER, INVENTORY, SIGNALS
from midstage.control.config import from_env
from midstage.control.main import compose
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.local.ports import LOOPBACK, found
from midstage.testkit.waiting import within
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved, quantile

GROUP: Final = "inventory"
OURS: Final = "midstage control"
P50: Final = Measure(name="page of 1,000 of 10,000 pods, p50", unit="ms", more_is_better=False)
P99: Final = Measure(name="page of 1,000 of 10,000 pods, p99", unit="ms", more_is_better=False)
SEARCH: Final = Measure(name="search of 10,000 pods, p50", unit="ms", more_is_better=False)
_APPS, _EACH, _PAGE = 20, 500, 1000
_WITHIN_S: Final = 120.0


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Pages one after the other, each from where the last one ended; then searches without end."""
    del bootstrap  # the log does not matter here: it is in memory
    asked = max(10, size.commands // 10)
    with _serving(directory) as http:
        taken = interleaved(
            [Contestant(name=OURS, run=partial(_timed, http, asked))],
            group=GROUP,
            rounds=size.rounds,
        )
    return figures(
        group=GROUP,
        measures=[P50, P99, SEARCH],
        taken=taken,
        peers=(),
        counts={OURS: f"{asked:,} questions"},
    )


def _timed(http: httpx.Client, asked: int) -> Mapping[str, float]:
    pages: list[float] = []
    after: str | None = ""
    for _ in range(asked):
        begin = time.perf_counter()
        answer = http.get("/v1/pods", params={"limit": _PAGE, "after": after or ""})
        pages.append((time.perf_counter() - begin) * 1000)
        after = answer.json()["next"]
    searches: list[float] = []
    for _ in range(asked):
        begin = time.perf_counter()
        http.get("/v1/pods", params={"q": uuid.uuid4().hex})
        searches.append((time.perf_counter() - begin) * 1000)
    return {
        P50.name: quantile(pages, 0.5),
        P99.name: quantile(pages, 0.99),
        SEARCH.name: quantile(searches, 0.5),
    }


@contextmanager
def _serving(directory: Path) -> Iterator[httpx.Client]:
    log, cluster = MemoryLog(), _cluster()
    log.create(
        settings for topic in (CLUSTER, INVENTORY, APPS, SIGNALS) for settings in settings_of(topic)
    )
    (port,) = found(1)
    token = directory / "paging-token"
    ensure_secret(token)
    settings = from_env(
        {
            "MIDSTAGE_CONTROL_KAFKA": "not asked",
            "MIDSTAGE_CONTROL_PORT": str(port),
            "MIDSTAGE_CONTROL_TOKEN_FILE": str(token),
            "MIDSTAGE_CONTROL_CLUSTERS": "bench=http://127.0.0.1:9",
        }
    )
    process = compose(settings, log=log, clusters=[cluster])
    serving = threading.Thread(target=process.run, name="control")
    serving.start()
    try:
        url = f"http://{LOOPBACK}:{port}"
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
            within(_WITHIN_S, lambda: _whole(http), every=0.2)
            yield http
    finally:
        process.stop()
        serving.join(_WITHIN_S)


def _whole(http: httpx.Client) -> bool:
    try:
        known = http.get("/v1/clusters").json()["clusters"]
    except httpx.TransportError:
        return False
    return bool(known) and known[0]["pods"] == _APPS * _EACH


def _cluster() -> MemoryCluster:
    nodes = [
        Node(name=f"node-{number:03}", capacity=Amount(cpu=1000, memory_mb=10_000_000))
        for number in range(20)
    ]
    cluster = MemoryCluster(name="bench", nodes=nodes)
    for number in range(_APPS):
        cluster.put_workload(
            Workload(
                name=f"app-{number:02}-1",
                app=f"app-{number:02}",
                revision="1",
                template=Template(image="bench:1", requests=Amount(cpu=1, memory_mb=100)),
                replicas=_EACH,
            ),
            expected=0,
        )
    return cluster
