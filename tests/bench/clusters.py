"""What it takes to know a large Kubernetes at the start, beside the typed client.

A real control plane with pods that nobody runs, each as large as real ones are; whoever starts is a
process of its own that lists nodes, pods, deployments and endpoint slices in pages of 500.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from midstage.cluster.kubernetes.connection import MERGE, Connection
from midstage.local.kubernetes.running import running_kubernetes
from tests.bench import starter
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved, say

GROUP: Final = "kubernetes"
START: Final = Measure(name="start: all pods known", unit="s", more_is_better=False)
MEMORY: Final = Measure(name="start: peak memory", unit="MiB", more_is_better=False)
TYPED, OURS = "typed kubernetes client", "midstage cluster"
PODS: Final = 5_500
_QUICK_PODS: Final = 500
_FEW_ROUNDS: Final = 1
_AT_ONCE: Final = 8
_PATH = "/api/v1/namespaces/default/pods"


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Start anew each time, one after the other."""
    pods = PODS if size.rounds > _FEW_ROUNDS else _QUICK_PODS
    with running_kubernetes(directory / "kubernetes", say=say) as cluster:
        filled(cluster.kubeconfig, pods)
        taken = interleaved(
            [
                Contestant(name=name, run=partial(started, who, cluster.kubeconfig, pods))
                for name, who in ((TYPED, starter.TYPED), (OURS, starter.OURS))
            ],
            group=GROUP,
            rounds=size.rounds,
        )
    counts = dict.fromkeys((TYPED, OURS), f"{pods:,} pods")
    return figures(
        group=GROUP, measures=[START, MEMORY], taken=taken, peers=(TYPED,), counts=counts
    )


def started(who: str, kubeconfig: Path, pods: int) -> Mapping[str, float]:
    """What one start took."""
    command = [sys.executable, "-m", "tests.bench.starter", who, str(kubeconfig)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    found = json.loads(said.stdout)
    assert found["pods"] >= pods, found
    return {START.name: found["seconds"], MEMORY.name: found["mib"]}


def filled(kubeconfig: Path, pods: int) -> None:
    """Make ``pods`` pods that are said to run."""
    connection = Connection(name="bench", where=f"kubeconfig:{kubeconfig}")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for number, _ in enumerate(pool.map(partial(_made, connection), range(pods)), start=1):
            if number % 1000 == 0:
                say(f"{GROUP}: {number:,} pods made")
    connection.close()


def _made(connection: Connection, number: int) -> None:
    name = f"bench-{number:05}"
    connection.request("POST", _PATH, body=msgspec.json.encode(_pod(name)))
    status = msgspec.json.encode(_STATUS)
    connection.request("PATCH", f"{_PATH}/{name}/status", body=status, content_type=MERGE)


def _pod(name: str) -> object:
    return {
        "metadata": {
            "name": name,
            "labels": {"app": "bench", "tier": "serving", "release": name, "team": "vision"},
            "annotations": {"prometheus.io/scrape": "true", "checksum/config": name * 4},
        },
        "spec": {
            "schedulerName": "nobody",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "app",
                    "image": "registry.example/team/service:1.2.3",
                    "args": ["--port=8080", "--workers=4", "--model=/models/ocr-large"],
                    "env": [{"name": f"SETTING_{n}", "value": f"value-{n}"} for n in range(12)],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
                }
            ],
        },
    }


_AT = "2026-11-26T00:00:00Z"
_STATUS: object = {
    "status": {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "startTime": _AT,
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": _AT}
            for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
        ],
        "containerStatuses": [
            {
                "name": "app",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "image": "registry.example/team/service:1.2.3",
                "imageID": "registry.example/team/service@sha256:0",
                "state": {"running": {"startedAt": _AT}},
            }
        ],
    }
}
