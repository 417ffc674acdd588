"""One embedded platform: real Kafka, Envoy, services and replicas as children of this process.

``with Platform(directory) as p`` starts all, in the order in which they need each other, and stops
all in the reverse. The folder keeps log, ledger, keys and ports: the next run goes on with them.
"""

import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from midstage.chassis.clock import SystemClock
from midstage.contracts.topics import TOPICS
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of
from midstage.local import (
    addresses,
    applying,
    apps,
    envoy,
    figures,
    holding,
    kafka,
    keyfiles,
    limits,
    machine,
    replaying,
)
from midstage.local.jars import nothing_said
from midstage.local.kubernetes import building, programs, workers
from midstage.local.kubernetes.embedded import Embedded
from midstage.local.kubernetes.plane import prepare
from midstage.local.layout import Layout
from midstage.local.options import Where
from midstage.local.replay.customers import CustomerLimit
from midstage.local.replay.findings import Report
from midstage.local.replay.progress import Line
from midstage.local.replay.reconcile import Patience, reconcile
from midstage.local.replaying import nothing_watched
from midstage.local.supervisor import Child, Supervisor
from midstage.local.table import EDGE, Instead, Table

READY_WITHIN_S = 120.0
STOPS: Sequence[tuple[Sequence[str], float]] = (
    *((("caller",), 2.0), (("envoy",), 1.0), (("gateway",), 2.0)),
    *(((), 1.5), (("cluster", workers.NAME), 1.0), (("kafka", *programs.PROGRAMS), 2.5)),
)
"""Who is stopped in this order, with the seconds before SIGKILL; empty: the rest, at once."""


class Platform:
    """The platform in ``directory``; ``instead`` by process name.

    ``replicas`` are the applications that are applied, with the count that each begins with.
    """

    def __init__(
        self,
        directory: Path,
        *,
        replicas: Mapping[str, int] | None = None,
        speed: float = 1.0,
        nodes: Path | None = None,
        cluster: Where = Where.LOCAL,
        shards: int = 1,
        scalers: int = 1,
        instead: Mapping[str, Instead] | None = None,
        say: Callable[[str], None] = nothing_said,
    ) -> None:
        """Name what is to run; nothing runs and nothing is written before ``start``."""
        self.layout = Layout(root=directory.absolute())
        self.speed = speed
        self._counts = {"chat": 3} if replicas is None else dict(replicas)
        self._nodes = nodes
        self._cluster = cluster
        self._shards = shards
        self._scalers = scalers
        self._instead = dict(instead or {})
        self._say = say
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start; what was started is stopped again when a later step fails."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Start everything and wait until it serves; PlatformError says what does not."""
        machine.require(self.layout.root)
        self._open.enter_context(holding.held(self.layout.lock))
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in order, within 10 s, and let go of the folder."""
        self._open.close()

    def stay(self) -> None:
        """Serve until interrupted; PlatformError should the supervisor end by itself."""
        self.supervisor.await_over()

    def kill(self, name: str, sig: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a process as if from outside; its pid. The supervisor restarts it."""
        return self.supervisor.kill(name, sig)

    @property
    def restarts(self) -> dict[str, int]:
        """How often each process was restarted since the start, those that never were left out."""
        lives = self.supervisor.lives().items()
        return {name: life.restarts for name, life in lives if life.restarts}

    def log(self, client_id: str) -> KafkaLog:
        """The platform's own log."""
        return KafkaLog(bootstrap=self.addresses.kafka, client_id=client_id)

    def set_limits(self, wanted: Sequence[CustomerLimit]) -> int:
        """Set the customers' limits where they differ; how many did."""
        return limits.put(self.addresses.throttle, self.token, wanted)

    def replay(
        self,
        *,
        trace: str = "conv",
        speed: float | None = None,
        requests: int | None = None,
        watch: Callable[[Line], None] = nothing_watched,
        patience: Patience | None = None,
    ) -> Report:
        """Set the limits, offer the trace, wait for the ledger, and compare row by row.

        ``speed`` is that of the arrivals; the replicas have the platform's.
        """
        run = replaying.Replay(
            trace=trace,
            speed=speed or self.speed,
            requests=requests,
            run=replaying.named(SystemClock().now()),
        )
        wanted = replaying.limits(run)
        self.set_limits(wanted)
        before = self._look()
        child = replaying.caller(run, layout=self.layout, addresses=self.addresses)
        replaying.watched(child, supervisor=self.supervisor, watch=watch)
        peak = self.supervisor.peak_rss_mb()
        return reconcile(
            list_file=replaying.list_of(run, self.layout),
            run=run.run,
            stats_url=self.addresses.stats,
            token=self.token,
            app=run.app,
            log=self.log("midstage.local.report"),
            plot_file=replaying.plot_of(run, self.layout),
            platform=figures.between(before, self._look(), limits=wanted, peak_rss_mb=peak),
            patience=patience or Patience(),
        )

    def _look(self) -> figures.Look:
        return figures.look(
            self.supervisor.lives(),
            envoy_admin=self.addresses.envoy_admin,
            throttle=self.addresses.throttle,
        )

    def _start(self) -> None:
        self.layout.make()
        (self.layout.edge_config / "bootstrap.json").unlink(missing_ok=True)  # of other ports
        self.token = keyfiles.ensure(self.layout, edge=EDGE)
        kafka.fetched(say=self._say)
        envoy.binary(say=self._say)
        table = self._table()
        self.supervisor = Supervisor(logs=self.layout.logs, say=self._say)
        self._open.callback(self._stop)
        if table.kubernetes is not None:
            table.kubernetes.begin(self.supervisor)
        self._up(table.kafka())
        self._create_topics()
        # the gateway is ready once Envoy is, and Envoy starts from the gateway's files
        self.supervisor.start(table.gateway())
        cluster = self._cluster_of(table)
        self._up(
            *(*cluster, table.throttle(), *table.stats_shards()),
            *(table.control(), *table.hpas(), table.deploy(), table.data()),
        )
        self.supervisor.await_ready(
            "gateway",
            within_s=READY_WITHIN_S,
            unready=lambda: _missing(self.layout.edge_config / "bootstrap.json"),
        )
        self._up(table.envoy())
        self._ready("gateway")
        addresses.write(self.layout.addresses, msgspec.json.encode(self.addresses))
        self._apply()

    def _cluster_of(self, table: Table) -> Sequence[Child]:
        """The local cluster's child; a Kubernetes is ready before who asks it starts."""
        if table.kubernetes is None:
            return [table.cluster()]
        table.kubernetes.finish(self.supervisor, say=self._say)
        return []

    def _apply(self) -> None:
        wanted = {app: apps.spec(app, replicas=n) for app, n in self._counts.items()}
        applying.put(self.addresses.deploy, self.token, wanted)
        for app, spec in wanted.items():
            applying.await_ready(
                self.addresses.deploy,
                app,
                within_s=READY_WITHIN_S,
                say=self._say,
                least=spec.scaling.min if spec.scaling else spec.replicas,
            )
            self._say(f"{app} serves")

    def _table(self) -> Table:
        others = addresses.stats_names(self._shards)[1:], addresses.hpa_names(self._scalers)[1:]
        ports = addresses.settled(self.layout.ports, (*addresses.SINGLE, *chain(*others)))
        self.addresses = addresses.addresses(ports, layout=self.layout, shards=self._shards)
        here = self._kubernetes(ports) if self._cluster is Where.KUBERNETES else None
        if here is not None:
            kubeconfig = str(here.plane.kubeconfig)
            self.addresses = msgspec.structs.replace(self.addresses, kubeconfig=kubeconfig)
        return Table(
            layout=self.layout,
            addresses=self.addresses,
            ports=ports,
            speed=self.speed,
            instead=self._instead,
            nodes=self._nodes,
            kubernetes=here,
            shards=self._shards,
            scalers=self._scalers,
        )

    def _kubernetes(self, ports: Mapping[str, int]) -> Embedded:
        """Its kubelet takes the local cluster's port, and breaks things as that does."""
        binary = building.binary(say=self._say)
        return Embedded(
            plane=prepare(
                self.layout.kubernetes,
                ports=addresses.settled(self.layout.ports, programs.PORTS),
                binary=binary,
            ),
            kubelet_port=ports["cluster"],
            token_file=self.layout.token,
            speed=self.speed,
            nodes=self._nodes,
        )

    def _create_topics(self) -> None:
        log = self.log("midstage.local")
        log.create([settings for topic in TOPICS for settings in settings_of(topic)])
        self._say("topics are there")

    def _up(self, *children: Child) -> None:
        for child in children:
            self.supervisor.start(child)
        for child in children:
            self._ready(child.name)

    def _ready(self, name: str) -> None:
        self.supervisor.await_ready(name, within_s=READY_WITHIN_S)
        self._say(f"{name} is ready")

    def _stop(self) -> None:
        self._say("stopping")
        self.layout.addresses.unlink(missing_ok=True)
        names = set(self.supervisor.lives())
        apart = {name for group, _ in STOPS for name in group}
        for listed, within_s in STOPS:
            group = names & {*listed} if listed else names - apart
            self.supervisor.stop(sorted(group), within_s=within_s)
        self.supervisor.close()
        self._say("everything is stopped")


def _missing(file: Path) -> str | None:
    return None if file.exists() else f"{file} is not there"
