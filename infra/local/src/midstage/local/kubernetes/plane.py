"""One control plane as children of a supervisor: which they are, when each is ready, in what order.

etcd and the API server first, then controller manager and scheduler. Each is started again when it
dies; the folder keeps everything, so the next start goes on where the last ended.
"""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from midstage.local.kubernetes import certificates, identities, programs
from midstage.local.kubernetes.identities import ADMIN, IDENTITIES
from midstage.local.kubernetes.programs import Home
from midstage.local.ports import LOOPBACK
from midstage.local.supervisor import Child, Supervisor

READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 3.0
_ASK_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """How to run one; ``prefix`` goes before the children's names, ``flags`` are by program."""

    home: Home
    binary: Path
    prefix: str = ""
    flags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.home.kubeconfig(ADMIN)

    @property
    def names(self) -> tuple[str, ...]:
        """The children's names, in the order of their start."""
        return tuple(self.prefix + program for program in programs.PROGRAMS)

    def child(self, program: str) -> Child:
        """How one of ``programs.PROGRAMS`` is run."""
        command = programs.command(
            program, binary=self.binary, home=self.home, flags=self.flags.get(program)
        )
        unready = partial(_UNREADY[program], self.home)
        return Child(name=self.prefix + program, command=command, unready=unready)

    def start(self, supervisor: Supervisor) -> None:
        """Start all and wait until the cluster works; PlatformError with who does not, and why."""
        self.begin(supervisor)
        self.finish(supervisor)

    def begin(self, supervisor: Supervisor) -> None:
        """Start the store and the API server, which takes longest; neither is ready yet."""
        for program in _FIRST:
            supervisor.start(self.child(program))

    def finish(self, supervisor: Supervisor) -> None:
        """Start the others once the API server serves, and wait for all."""
        self._await(_FIRST, supervisor)
        for program in _THEN:
            supervisor.start(self.child(program))
        self._await(_THEN, supervisor)

    def stop(self, supervisor: Supervisor, *, within_s: float = STOPPED_WITHIN_S) -> None:
        """Stop all, callers before those whom they call."""
        known = supervisor.lives()
        for group in (_THEN, (programs.APISERVER,), (programs.ETCD,)):
            names = [self.prefix + program for program in group]
            supervisor.stop([each for each in names if each in known], within_s=within_s)

    def _await(self, group: Sequence[str], supervisor: Supervisor) -> None:
        for program in group:
            supervisor.await_ready(self.prefix + program, within_s=READY_WITHIN_S)


def prepare(
    directory: Path,
    *,
    ports: Mapping[str, int],
    binary: Path,
    prefix: str = "",
    flags: Mapping[str, Mapping[str, str]] | None = None,
) -> ControlPlane:
    """Write keys, tokens, kubeconfigs and settings into ``directory``; nothing runs yet.

    ``ports`` by the names in ``programs.PORTS``.
    """
    root = directory.absolute()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    home = Home(root=root, keys=certificates.ensure(root / "keys"), ports=ports)
    for name, token in identities.tokens(home.tokens).items():
        identities.write_kubeconfig(
            home.kubeconfig(name),
            url=home.url,
            keys=home.keys,
            token=token,
            user=IDENTITIES[name].user,
        )
    programs.prepare(home)
    return ControlPlane(home=home, binary=binary, prefix=prefix, flags=flags or {})


def _etcd_unready(home: Home) -> str | None:
    return _answers(home, programs.ETCD, "/readyz", authority="etcd-ca")


def _apiserver_unready(home: Home) -> str | None:
    return _answers(home, programs.APISERVER, "/readyz")


def _controllers_unready(home: Home) -> str | None:
    """A namespace takes pods only once the controllers have given it a service account."""
    default = "/api/v1/namespaces/default/serviceaccounts/default"
    return _answers(home, programs.CONTROLLERS, "/healthz") or _answers(
        home, programs.APISERVER, default
    )


def _scheduler_unready(home: Home) -> str | None:
    return _answers(home, programs.SCHEDULER, "/readyz")


_UNREADY = {
    programs.ETCD: _etcd_unready,
    programs.APISERVER: _apiserver_unready,
    programs.CONTROLLERS: _controllers_unready,
    programs.SCHEDULER: _scheduler_unready,
}
_FIRST = (programs.ETCD, programs.APISERVER)
_THEN = (programs.CONTROLLERS, programs.SCHEDULER)


def _answers(home: Home, program: str, path: str, *, authority: str = "ca") -> str | None:
    trust = ssl.create_default_context(cafile=str(home.keys.certificate(authority)))
    if program == programs.ETCD:
        trust.load_cert_chain(home.keys.certificate("etcd-client"), home.keys.key("etcd-client"))
    request = urllib.request.Request(f"https://{LOOPBACK}:{home.ports[program]}{path}")
    if program == programs.APISERVER:
        token = identities.tokens(home.tokens)[ADMIN]
        request.add_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )
    try:
        with opener.open(request, timeout=_ASK_WITHIN_S):
            return None
    except urllib.error.HTTPError as e:
        return f"{program} answers {e.code}: {_last_line(e.read(2_000))}"
    except OSError as e:
        return f"{program} does not answer: {e}"


def _last_line(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, TypeError, KeyError):
        failed = [line for line in text.splitlines() if line.startswith("[-]")]
        return "; ".join(failed) or text[-200:]
