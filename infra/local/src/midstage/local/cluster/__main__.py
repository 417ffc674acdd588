"""``python -m midstage.local.cluster``: one local cluster until SIGTERM; its only composition.

``/readyz`` says 200 when it starts pods and what happens can be kept. Killed with -9 its pods end
with it; the next start with the same ``--dir`` makes them anew.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.clock import SystemClock
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness
from midstage.chassis.settings import secret
from midstage.chassis.start import start
from midstage.cluster.objects import Pod
from midstage.local import holding
from midstage.local.cluster import api, nodes
from midstage.local.cluster.breaking import Breaking
from midstage.local.cluster.hub import Hub
from midstage.local.cluster.kubelet import Kubelet
from midstage.local.cluster.pod import Machine, PodLife
from midstage.local.pods.faults import InForce
from midstage.local.pods.podlogs import PodLogs
from midstage.local.pods.usage import Meter
from midstage.local.ports import LOOPBACK

SERVICE = "cluster"
VERSION = "0.1.0"
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


def compose(options: argparse.Namespace, *, env: Mapping[str, str]) -> Process:
    """The process; PlatformError or SettingError where it can't be."""
    directory: Path = options.dir
    known = nodes.read(options.nodes)
    hub = Hub(nodes=known, file=directory / "cluster.json", now=SystemClock().now)
    logs = PodLogs(directory / "pods")
    in_force = InForce()
    passed_on = {name: env[name] for name in _PASSED_ON if name in env}

    def environment(pod: Pod, port: int) -> dict[str, str]:
        return {
            **passed_on,
            "PORT": str(port),
            "POD_NAME": pod.name,
            "POD_NAMESPACE": pod.namespace,
            "NODE_NAME": pod.node,
            "MIDSTAGE_APP": pod.app,
            "MIDSTAGE_REVISION": pod.revision,
            "MIDSTAGE_SPEED": f"{options.speed:g}",
        }

    machine = Machine(hub=hub, logs=logs, faults=in_force, environment=environment, taken=set())
    kubelet = Kubelet(hub=hub, logs=logs, live=lambda pod: PodLife(machine, pod))
    meter = Meter(pids=kubelet.pids)
    breaking = Breaking(
        hub=hub, nodes={node.name: node for node in known}, in_force=in_force, send=kubelet.signal
    )
    readiness = Readiness()
    readiness.add("kubelet", kubelet.unready)
    readiness.add("kept", hub.unkept)
    return Process(
        service=SERVICE,
        app=http.build(
            service=SERVICE,
            version=VERSION,
            readiness=readiness,
            registry=CollectorRegistry(),
            token=secret(options.token_file),
            routers=[api.router(hub=hub, logs=logs, meter=meter, breaking=breaking)],
        ),
        host=LOOPBACK,
        port=options.port,
        async_loops=[kubelet, meter],
    )


def main(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Run until told to stop; the process's exit code."""
    options = _parser().parse_args(argv)

    def run() -> Process:
        return compose(options, env=env)

    with holding.held(options.dir / "lock"):
        return start(SERVICE, run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m midstage.local.cluster", description=__doc__)
    say = parser.add_argument
    say("--dir", type=Path, required=True, help="what outlives the daemon, and the pods' logs")
    say("--port", type=int, required=True)
    say("--nodes", type=Path, default=nodes.DEFAULT, help="the nodes file, YAML or JSON")
    say("--token-file", type=Path, required=True, help="the bearer token of all changes (0600)")
    say("--speed", type=_speed, default=1.0, help="given to the pods as MIDSTAGE_SPEED")
    return parser


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return speed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
