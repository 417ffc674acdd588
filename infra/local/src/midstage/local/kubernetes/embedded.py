"""The Kubernetes of an embedded platform: control plane, accounts, kubelet, under one supervisor.

``begin`` starts what takes longest, so that other things can start meanwhile; ``finish`` waits for
it, gives control and deploy kubeconfigs with the rights that they need and no others, and gives the
cluster its nodes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from midstage.local.errors import PlatformError
from midstage.local.kubernetes import accounts, identities, workers
from midstage.local.kubernetes.plane import ControlPlane
from midstage.local.kubernetes.workers import Workers
from midstage.local.supervisor import Supervisor

SERVICES = ("control", "deploy")
"""Who asks the API server, each as the service account ``midstage-<service>``."""
_READY_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A control plane with its one kubelet on ``kubelet_port``, which ``token_file`` opens."""

    plane: ControlPlane
    kubelet_port: int
    token_file: Path
    speed: float
    nodes: Path | None

    def begin(self, supervisor: Supervisor) -> None:
        """Start the API server and its store; they are not ready yet."""
        self.plane.begin(supervisor)

    def finish(self, supervisor: Supervisor, *, say: Callable[[str], None]) -> None:
        """Return once pods can run; PlatformError with who is not ready."""
        self.plane.finish(supervisor)
        say("Kubernetes is ready")
        self._let_in(accounts.granted(self.plane.kubeconfig))
        supervisor.start(
            workers.child(
                kubeconfig=self.plane.kubeconfig,
                directory=self.plane.home.root / "kubelet",
                port=self.kubelet_port,
                token_file=self.token_file,
                nodes=self.nodes,
                speed=self.speed,
            )
        )
        supervisor.await_ready(workers.NAME, within_s=_READY_WITHIN_S)
        told = Workers(url=workers.url(self.kubelet_port), token_file=str(self.token_file))
        workers.told(told, beside=self.plane.kubeconfig)
        say("kubelet is ready")

    def where(self, service: str) -> str:
        """How a service's setting names this cluster."""
        return f"kubeconfig:{self.plane.home.kubeconfig(service)}"

    def _let_in(self, tokens: Mapping[str, str]) -> None:
        for service in SERVICES:
            account = f"midstage-{service}"
            if account not in tokens:
                raise PlatformError(f"{accounts.MANIFESTS} has no service account {account}")
            identities.write_kubeconfig(
                self.plane.home.kubeconfig(service),
                url=self.plane.home.url,
                keys=self.plane.home.keys,
                token=tokens[account],
                user=account,
            )
