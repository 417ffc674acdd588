"""The four programs of a control plane: their command lines, for one folder and its ports.

Settings are those of a small cluster on one machine: short graces, so that a dead node is noticed
in seconds; no fsync in etcd (what is written outlives ``kill -9`` of the process, only a crash of
the machine could lose it); every listener on loopback, none without a certificate or a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from midstage.local.kubernetes.certificates import SERVICE_IP, Keys
from midstage.local.ports import LOOPBACK

ETCD = "etcd"
APISERVER = "apiserver"
CONTROLLERS = "controller-manager"
SCHEDULER = "scheduler"
PROGRAMS = (ETCD, APISERVER, CONTROLLERS, SCHEDULER)
PORTS = (ETCD, "etcd-peer", APISERVER, CONTROLLERS, SCHEDULER)

NODE_GRACE_S = 6
"""A node that has not renewed its lease for this long is not ready."""
EVICTED_AFTER_S = 2
"""Pods stay bound to a node that is not ready for this long."""
_SERVICES = f"{SERVICE_IP.rpartition('.')[0]}.0/16"
_QPS, _BURST = 500, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where one control plane keeps its files, and on which port each program listens."""

    root: Path
    keys: Keys
    ports: Mapping[str, int]

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{LOOPBACK}:{self.ports[APISERVER]}"

    @property
    def tokens(self) -> Path:
        """The static tokens that the API server takes (0600)."""
        return self.root / "tokens.csv"

    def kubeconfig(self, name: str) -> Path:
        """The kubeconfig of one identity (0600)."""
        return self.root / f"{name}.kubeconfig"


def command(
    program: str, *, binary: Path, home: Home, flags: Mapping[str, str] | None = None
) -> list[str]:
    """How to run one of ``PROGRAMS``; ``flags`` are added to its own, or stand in their place."""
    own = {
        ETCD: _etcd,
        APISERVER: _apiserver,
        CONTROLLERS: _controllers,
        SCHEDULER: _scheduler,
    }[program](home)
    wanted = {**own, **(flags or {})}
    return [str(binary), program, *(f"--{name}={value}" for name, value in wanted.items())]


def prepare(home: Home) -> None:
    """Write the one file of settings that has no flags."""
    home.root.joinpath("scheduler.json").write_bytes(
        msgspec.json.encode(
            {
                "apiVersion": "kubescheduler.config.k8s.io/v1",
                "kind": "KubeSchedulerConfiguration",
                "clientConnection": {
                    "kubeconfig": str(home.kubeconfig("scheduler")),
                    "qps": _QPS,
                    "burst": _BURST,
                },
                "leaderElection": {"leaderElect": False},
                "podInitialBackoffSeconds": 1,
                "podMaxBackoffSeconds": 4,
            }
        )
    )


def _etcd(home: Home) -> Mapping[str, str]:
    client = f"https://{LOOPBACK}:{home.ports[ETCD]}"
    peer = f"https://{LOOPBACK}:{home.ports['etcd-peer']}"
    return {
        "name": "midstage",
        "data-dir": str(home.root / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"midstage={peer}",
        "unsafe-no-fsync": "true",
        "log-level": "warn",
        "log-outputs": "stderr",
        "client-cert-auth": "true",
        "trusted-ca-file": _crt(home, "etcd-ca"),
        "cert-file": _crt(home, "etcd"),
        "key-file": _key(home, "etcd"),
        "peer-client-cert-auth": "true",
        "peer-trusted-ca-file": _crt(home, "etcd-ca"),
        "peer-cert-file": _crt(home, "etcd"),
        "peer-key-file": _key(home, "etcd"),
    }


def _apiserver(home: Home) -> Mapping[str, str]:
    return {
        **_serving(home, APISERVER, "apiserver"),
        "advertise-address": LOOPBACK,
        "endpoint-reconciler-type": "none",  # it would publish loopback, which is refused
        "service-cluster-ip-range": _SERVICES,
        "etcd-servers": f"https://{LOOPBACK}:{home.ports[ETCD]}",
        "etcd-cafile": _crt(home, "etcd-ca"),
        "etcd-certfile": _crt(home, "etcd-client"),
        "etcd-keyfile": _key(home, "etcd-client"),
        "anonymous-auth": "false",
        "authorization-mode": "RBAC",
        "token-auth-file": str(home.tokens),
        "client-ca-file": _crt(home, "ca"),
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-signing-key-file": _key(home, "service-accounts"),
        "service-account-key-file": _key(home, "service-accounts"),
        "requestheader-client-ca-file": _crt(home, "proxy-ca"),
        "requestheader-allowed-names": "aggregator",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": _crt(home, "aggregator"),
        "proxy-client-key-file": _key(home, "aggregator"),
        "kubelet-client-certificate": _crt(home, "kubelet-client"),
        "kubelet-client-key": _key(home, "kubelet-client"),
        "kubelet-preferred-address-types": "InternalIP",
        "default-not-ready-toleration-seconds": str(EVICTED_AFTER_S),
        "default-unreachable-toleration-seconds": str(EVICTED_AFTER_S),
        "allow-privileged": "true",
        "profiling": "false",
    }


def _controllers(home: Home) -> Mapping[str, str]:
    own = str(home.kubeconfig("controllers"))
    return {
        **_serving(home, CONTROLLERS, "controllers"),
        "kubeconfig": own,
        **_asking(home, own),
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": _key(home, "service-accounts"),
        "root-ca-file": _crt(home, "ca"),
        "kube-api-qps": str(_QPS),
        "kube-api-burst": str(_BURST),
        "node-monitor-period": "1s",
        "node-monitor-grace-period": f"{NODE_GRACE_S}s",
        "node-startup-grace-period": "10s",
        "node-eviction-rate": "10",
        "secondary-node-eviction-rate": "10",
        "profiling": "false",
    }


def _scheduler(home: Home) -> Mapping[str, str]:
    own = str(home.kubeconfig("scheduler"))
    return {
        **_serving(home, SCHEDULER, "controllers"),
        "config": str(home.root / "scheduler.json"),
        **_asking(home, own),
    }


def _asking(home: Home, kubeconfig: str) -> Mapping[str, str]:
    """How callers are known, so that it starts also while no API server is there to say so."""
    return {
        "authentication-kubeconfig": kubeconfig,
        "authentication-skip-lookup": "true",
        "client-ca-file": _crt(home, "ca"),
        "authorization-kubeconfig": kubeconfig,
    }


def _serving(home: Home, program: str, certificate: str) -> Mapping[str, str]:
    return {
        "bind-address": LOOPBACK,
        "secure-port": str(home.ports[program]),
        "tls-cert-file": _crt(home, certificate),
        "tls-private-key-file": _key(home, certificate),
    }


def _crt(home: Home, name: str) -> str:
    return str(home.keys.certificate(name))


def _key(home: Home, name: str) -> str:
    return str(home.keys.key(name))
