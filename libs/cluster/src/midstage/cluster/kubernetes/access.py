"""How to get at a Kubernetes API: from a kubeconfig or inside a pod, as the library reads them.

Tokens that run out are renewed by the library (exec plugins, the service account's file); a refusal
for want of a valid identity reads everything anew, once, as certificates may have been replaced.
"""

import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

import urllib3
from kubernetes.client.configuration import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config import ConfigException
from kubernetes.config.incluster_config import InClusterConfigLoader
from kubernetes.config.kube_config import load_kube_config
from urllib3.connection import HTTPConnection

from midstage.contracts.errors import UnavailableError

IN_CLUSTER = "in-cluster:"
KUBECONFIG = "kubeconfig:"
ACCOUNT_DIR = "MIDSTAGE_SERVICE_ACCOUNT_DIR"
"""Where the service account's token is, where pods are processes and nothing can be mounted."""
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_CONNECTIONS = 32
_IDLE_S, _EACH_S, _TIMES = 10, 5, 3
_UNACKNOWLEDGED_MS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where the API is, and the connections to it."""

    host: str
    pool: urllib3.PoolManager


class Access:
    """``where`` is ``kubeconfig:/path[#context]`` or ``in-cluster:``; nothing is read yet."""

    def __init__(self, where: str) -> None:
        """Keep where; UnavailableError comes when it is needed and can't be read."""
        self._where = where
        self._lock = threading.Lock()
        self._settings: Configuration | None = None
        self._door: Door | None = None

    def enter(self) -> tuple[Door, str]:
        """The door, and the authorisation header's value of now; empty: certificates say it."""
        with self._lock:
            try:
                settings = self._settings = self._settings or _read(self._where)
                token = settings.get_api_key_with_prefix("BearerToken", alias="authorization")
            except (ConfigException, OSError, ValueError, KeyError) as e:
                raise UnavailableError(f"{self._where} can't be used: {e}") from e
            if self._door is None:
                pool = RESTClientObject(settings).pool_manager
                self._door = Door(host=settings.host.rstrip("/"), pool=pool)
            return self._door, token or ""

    def forget(self, door: Door) -> None:
        """Read everything anew for whoever enters next, unless somebody did since ``door``."""
        with self._lock:
            if self._door is door:
                self._settings = self._door = None

    def close(self) -> None:
        """Let go of all idle connections."""
        with self._lock:
            if self._door is not None:
                self._door.pool.clear()


def _read(where: str) -> Configuration:
    settings = Configuration()
    if where == IN_CLUSTER:
        folder = Path(os.environ.get(ACCOUNT_DIR, "") or _ACCOUNT)
        inside = InClusterConfigLoader(  # type: ignore[no-untyped-call]  # the library has no types
            str(folder / "token"), str(folder / "ca.crt")
        )
        inside.load_and_set(settings)  # type: ignore[no-untyped-call]  # the library has no types
    elif where.startswith(KUBECONFIG):
        path, _, context = where.removeprefix(KUBECONFIG).partition("#")
        load_kube_config(  # type: ignore[no-untyped-call]  # the library has no types
            path, context or None, settings, persist_config=False
        )
    else:
        raise ConfigException(f"it is neither {KUBECONFIG}/path[#context] nor {IN_CLUSTER}")
    settings.retries = False
    settings.connection_pool_maxsize = _CONNECTIONS
    settings.socket_options = [
        *HTTPConnection.default_socket_options,
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_S),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _EACH_S),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _TIMES),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS),
    ]
    return settings
