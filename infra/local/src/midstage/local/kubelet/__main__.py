"""``python -m midstage.local.kubelet``: nodes of a Kubernetes, until SIGTERM; composed here alone.

``/readyz`` says 200 when its nodes are registered and it has read which pods are theirs. Killed
with -9 its pods end with it; the next start with the same nodes takes over what is bound to them.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.clock import SystemClock
from midstage.chassis.logs import logger
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness
from midstage.chassis.server import HttpServer
from midstage.chassis.settings import secret
from midstage.chassis.start import start
from midstage.cluster.kubernetes.access import KUBECONFIG, Access
from midstage.cluster.kubernetes.connection import Connection
from midstage.contracts.errors import RefusedError
from midstage.local import holding, ports
from midstage.local.cluster import nodes as nodes_file
from midstage.local.kubelet import api, certificate, metrics
from midstage.local.kubelet import serving as serves
from midstage.local.kubelet.cluster import Cluster, insisted
from midstage.local.kubelet.faulting import Faulting
from midstage.local.kubelet.kubelet import Kubelet
from midstage.local.kubelet.life import APP, REVISION, Machine, PodLife
from midstage.local.kubelet.nodes import Nodes
from midstage.local.kubelet.shapes import Pod
from midstage.local.kubelet.watching import Watching
from midstage.local.pods.faults import InForce
from midstage.local.pods.podlogs import PodLogs
from midstage.local.pods.usage import Meter

SERVICE = "kubelet"
VERSION = "0.1.0"
_OF_PODS, _OF_NODES = 16, 4
"""Calls at a time; nodes have their own, or a storm of pods would make them late."""
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")

_log = logger(__name__)


class Announcing:
    """An async loop that tells the API server where the metrics are, once."""

    name = "announcing"

    def __init__(self, cluster: Cluster, *, port: int) -> None:
        """Nothing is told yet."""
        self._cluster = cluster
        self._port = port

    async def run(self, stop: asyncio.Event) -> None:
        """Tell it; a server that does not want to know goes without."""
        telling = asyncio.create_task(insisted(self._tell, what="where the metrics are"))
        await stop.wait()
        telling.cancel()

    async def _tell(self) -> None:
        try:
            await metrics.announce(self._cluster, port=self._port)
        except RefusedError as e:
            _log.error("metrics_not_announced", reason=str(e))


def compose(options: argparse.Namespace, *, env: Mapping[str, str]) -> Process:
    """The process; PlatformError or SettingError where it can't be."""
    directory: Path = options.dir
    connection = Connection(name="the API server", where=f"{KUBECONFIG}{options.kubeconfig}")
    cluster = Cluster(connection, threads=_OF_PODS)
    now = SystemClock().now
    port = options.secure_port or ports.found(1)[0]
    logs = PodLogs(directory / "logs")
    in_force = InForce()
    nodes = Nodes(
        cluster=Cluster(connection, threads=_OF_NODES),
        nodes=nodes_file.read(options.nodes),
        port=port,
        now=now,
    )
    machine = Machine(
        cluster=cluster,
        logs=logs,
        faults=in_force,
        folder=directory / "pods",
        environment=_environment(
            env, speed=options.speed, server=Access(f"{KUBECONFIG}{options.kubeconfig}")
        ),
        now=now,
        taken={port, options.port},
    )
    kubelet = Kubelet(
        nodes=nodes,
        logs=logs,
        folder=directory / "pods",
        watching=lambda hear: Watching(connection, hear=hear),
        live=lambda pod, ip: PodLife(machine, pod, pod_ip=ip),
    )
    meter = Meter(pids=kubelet.pids)
    used = metrics.Metrics(meter=meter, nodes=nodes.living, pods=kubelet.pods, now=now)
    key = directory / "kubelet.pem"
    certificate.write(key, now=now())
    serving = HttpServer(
        app=serves.application(kubelet=kubelet, logs=logs, metrics=used),
        host=ports.LOOPBACK,
        port=port,
        drain_s=1,
        name="serving",
        tls=key,
    )
    readiness = Readiness()
    readiness.add("kubelet", kubelet.unready)
    readiness.add("nodes", nodes.unready)
    faulting = Faulting(nodes=nodes, kubelet=kubelet, in_force=in_force)
    announcing = [Announcing(cluster, port=port)] if options.metrics else []
    return Process(
        service=SERVICE,
        app=http.build(
            service=SERVICE,
            version=VERSION,
            readiness=readiness,
            registry=CollectorRegistry(),
            token=secret(options.token_file),
            routers=[api.router(faulting=faulting)],
        ),
        host=ports.LOOPBACK,
        port=options.port,
        async_loops=[serving, nodes, kubelet, meter, *announcing],
    )


def _environment(
    env: Mapping[str, str], *, speed: float, server: Access
) -> Callable[[Pod, int], dict[str, str]]:
    passed_on = {name: env[name] for name in _PASSED_ON if name in env}

    def environment(pod: Pod, port: int) -> dict[str, str]:
        return {
            **passed_on,
            **_service(server),
            "PORT": str(port),
            "POD_NAME": pod.metadata.name,
            "POD_NAMESPACE": pod.metadata.namespace,
            "NODE_NAME": pod.spec.node_name,
            "MIDSTAGE_APP": pod.metadata.labels.get(APP, ""),
            "MIDSTAGE_REVISION": pod.metadata.labels.get(REVISION, ""),
            "MIDSTAGE_SPEED": f"{speed:g}",
        }

    return environment


def _service(server: Access) -> dict[str, str]:
    """Where the API server is, as each pod is told."""
    door, _ = server.enter()
    at = urlsplit(door.host)
    return {
        "KUBERNETES_SERVICE_HOST": at.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(at.port or 443),
    }


def main(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Run until told to stop; the process's exit code."""
    options = _parser().parse_args(argv)

    def run() -> Process:
        return compose(options, env=env)

    with holding.held(options.dir / "lock"):
        return start(SERVICE, run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m midstage.local.kubelet", description=__doc__)
    say = parser.add_argument
    say("--kubeconfig", type=Path, required=True, help="of a user who may do what a kubelet does")
    say("--nodes", type=Path, default=nodes_file.DEFAULT, help="the nodes file, YAML or JSON")
    say("--dir", type=Path, required=True, help="the pods' folders and logs")
    say("--port", type=int, required=True, help="of /readyz and POST /v1/faults, on loopback")
    say("--secure-port", type=int, default=0, help="where the API server asks; 0: a free one")
    say("--token-file", type=Path, required=True, help="the bearer token of faults (0600)")
    say("--speed", type=_speed, default=1.0, help="given to the pods as MIDSTAGE_SPEED")
    say(
        "--metrics",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="serve metrics.k8s.io",
    )
    return parser


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return speed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
