"""What the stories of gateway are told with: a real Envoy on gateway's files, and real replicas."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files as resources
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from midstage.chassis.clock import SystemClock
from midstage.chassis.process import Loop
from midstage.contracts.fact import Event
from midstage.contracts.requests import RequestCompleted
from midstage.gateway.adapters import logfiles
from midstage.gateway.adapters.envoy import Admin, command
from midstage.gateway.adapters.wanted import ConfigDirectory, WantedFiles
from midstage.gateway.decide.lines import completed, parsed
from midstage.gateway.metrics import Metrics
from midstage.gateway.model.apps import Deployed, Endpoint, Setup
from midstage.gateway.stream.bell import Bell
from midstage.gateway.stream.configuration import Configuration
from midstage.testkit.waiting import within
from tests import patient
from tests.ports import free_port

from .replica import Replica, running

EDGE = "edge-1"
KEY = bytes(range(32))
ACME = {"authorization": "Bearer key-of-acme"}
DEADLINE_S = 90.0
THROTTLE_WITHIN_S = 6.0
"""Much longer than in earnest: a throttle on a busy machine is not late."""
NOWHERE = 1
"""A port of loopback where nothing listens."""


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """A real Envoy: ``MIDSTAGE_ENVOY``, or the pinned one."""
    given = os.environ.get("MIDSTAGE_ENVOY")
    if given:
        return Path(given)
    from midstage.local import envoy  # noqa: PLC0415  only where none is given

    return envoy.binary()


class NothingDeployed:
    """midstage runs nothing; all applications are people's own."""

    def deployed(self) -> Deployed:
        return Deployed()


@dataclass(slots=True)
class Edge:
    """One Envoy on files that gateway writes, and what stands in them."""

    root: Path
    binary: Path
    port: int
    admin_port: int
    throttle_port: int = NOWHERE
    apps: list[dict[str, object]] = field(default_factory=list)
    keys: dict[str, str | dict[str, str]] = field(default_factory=lambda: {"key-of-acme": "acme"})
    metrics: Metrics = field(default_factory=lambda: Metrics(CollectorRegistry()))
    configuration: Configuration = field(init=False)
    _process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.configuration = self._configuration()

    def _configuration(self) -> Configuration:
        return Configuration(
            setup=self.setup(),
            wanted=WantedFiles(apps_file=self.apps_file, api_keys_file=self.keys_file),
            watched=ConfigDirectory(self.config_dir),
            known=NothingDeployed(),
            clock=SystemClock(),
            metrics=self.metrics,
            serving=frozenset,
            bell=Bell(),
            applied=Bell(),
        )

    @property
    def config_dir(self) -> Path:
        return self.root / "config"

    @property
    def log_dir(self) -> Path:
        return self.root / "log"

    @property
    def apps_file(self) -> Path:
        return self.root / "apps.json"

    @property
    def keys_file(self) -> Path:
        return self.root / "api-keys.json"

    @property
    def admin(self) -> Admin:
        return Admin(f"http://127.0.0.1:{self.admin_port}")

    def setup(self) -> Setup:
        programs = resources("midstage.gateway.adapters")
        return Setup(
            edge=EDGE,
            config_dir=str(self.config_dir),
            request_log=str(self.log_dir / logfiles.CURRENT),
            listen=Endpoint(host="127.0.0.1", port=self.port),
            admin=Endpoint(host="127.0.0.1", port=self.admin_port),
            throttle=Endpoint(host="127.0.0.1", port=self.throttle_port),
            caller_reader=programs.joinpath("caller.lua").read_text(),
            usage_reader=programs.joinpath("usage.lua").read_text(),
            throttle_within_s=THROTTLE_WITHIN_S,
        )

    def configure(self) -> None:
        """Write what people want, and have gateway look at it once."""
        self.apps_file.write_text(json.dumps({"apps": self.apps}))
        self.keys_file.touch(mode=0o600)
        self.keys_file.write_text(json.dumps(self.keys))
        self.configuration.turn()

    def moved_throttle(self, port: int) -> None:
        """A gateway that was restarted with another address of throttle."""
        self.throttle_port = port
        self.configuration = self._configuration()
        self.configure()

    def stat(self, name: str) -> int:
        """One of Envoy's own figures; 0 where it has none."""
        answer = patient.get(
            f"http://127.0.0.1:{self.admin_port}/stats", params={"filter": f"^{name}$"}
        )
        return int(answer.text.rpartition(": ")[2] or 0)

    def start(self) -> None:
        """Start Envoy as a supervisor does, and wait until it serves."""
        self.log_dir.mkdir(exist_ok=True)
        logfiles.begin(self.log_dir, datetime.now(UTC))
        with (self.root / "envoy.log").open("ab") as log:
            self._process = subprocess.Popen(
                command(binary=self.binary, config_dir=self.config_dir), stdout=log, stderr=log
            )
        within(DEADLINE_S, self._listens)

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(DEADLINE_S)
            self._process = None

    def settled(self, app: str, replicas: int) -> None:
        """Wait until Envoy has this many healthy replicas of an application."""

        within(DEADLINE_S, lambda: self.stat(f"cluster.{app}.membership_healthy") == replicas)

    def answers(self, path: str) -> None:
        """Wait until each of Envoy's workers has a replica for it.

        A worker hears of one for itself, later than ``settled``, and a connection is one worker's.
        """
        within(DEADLINE_S, lambda: {self.get(path).status_code for _ in range(8)} == {200})

    def lines(self) -> Sequence[bytes]:
        """The whole lines of the newest file."""
        text = (self.log_dir / logfiles.CURRENT).read_bytes()
        return text.split(b"\n")[:-1]

    def events(self) -> Sequence[Event[RequestCompleted]]:
        """The events of the newest file; a line that is none fails the test."""
        return [
            completed(parsed(line), source="edges/edge-1/file", number=number)
            for number, line in enumerate(self.lines(), 1)
        ]

    def event(self, ref: str) -> Event[RequestCompleted]:
        """The one event of the request with this number of the caller's."""
        found = within(DEADLINE_S, lambda: [e for e in self.events() if e.data.ref == ref])
        assert len(found) == 1
        return found[0]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path: str, ref: str = "", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return patient.get(self.url(path), headers={**ACME, "x-midstage-ref": ref, **named})

    def raw(self, data: bytes) -> socket.socket:
        """A caller that says exactly these bytes."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)
        connection.sendall(data)
        return connection

    def _listens(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise AssertionError((self.root / "envoy.log").read_text()[-2000:])
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def request(path: str, ref: str, **headers: str) -> bytes:
    """A GET of acme's over HTTP/1.1."""
    told = {"host": "any", **ACME, "x-midstage-ref": ref, **headers}
    named = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"GET {path} HTTP/1.1\r\n{named}\r\n".encode()


class Looped:
    """A loop in a thread of its own."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._raised: list[BaseException] = []
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def dies_of(self, kind: type[BaseException]) -> None:
        """Wait until the loop has raised this, as it should."""
        self._thread.join(DEADLINE_S)
        assert self.ended, "the loop did not die"
        raised = self._raised.pop()
        assert isinstance(raised, kind), raised

    def stop(self) -> None:
        """Stop it; what it raised is raised here."""
        self._stop.set()
        self._thread.join(DEADLINE_S)
        assert self.ended, "the loop did not stop"
        if self._raised:
            raise self._raised[0]

    def _run(self) -> None:
        try:
            self._loop.run(self._stop)
        except BaseException as e:  # noqa: BLE001  told by ``stop``, in the test's own thread
            self._raised.append(e)


@contextmanager
def looping(loop: Loop) -> Iterator[Looped]:
    """The loop, until the end of the block."""
    looped = Looped(loop)
    try:
        yield looped
    except BaseException:
        with suppress(BaseException):  # the block's own failure is told
            looped.stop()
        raise
    looped.stop()


MakeEdge = Callable[..., Edge]


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory, envoy_binary: Path) -> Iterator[MakeEdge]:
    """Makes edges; each is stopped at the end of the module."""
    with ExitStack() as stack:

        def make(*apps: Mapping[str, object]) -> Edge:
            edge = Edge(
                root=tmp_path_factory.mktemp("edge"),
                binary=envoy_binary,
                port=free_port(),
                admin_port=free_port(),
                apps=[dict(app) for app in apps],
            )
            edge.configure()
            edge.start()
            stack.callback(edge.stop)
            return edge

        yield make


@pytest.fixture(scope="module")
def replica() -> Iterator[Replica]:
    with running() as replica:
        yield replica


@pytest.fixture(scope="module")
def edge(edges: MakeEdge, replica: Replica) -> Edge:
    """An edge with the application ``chat``; its throttle is away, and it fails open."""
    edge = edges(
        {
            "name": "chat",
            "prefix": "/chat",
            "hosts": ["chat.localhost"],
            "endpoints": [f"127.0.0.1:{replica.port}"],
            "timeout_s": 600,
        },
        {
            "name": "tight",
            "prefix": "/tight",
            "on_throttle_failure": "closed",
            "endpoints": [f"127.0.0.1:{replica.port}"],
        },
        {
            "name": "brief",
            "prefix": "/brief",
            "endpoints": [f"127.0.0.1:{replica.port}"],
            "timeout_s": 0.3,
        },
        {
            "name": "other",
            "prefix": "/other",
            "endpoints": [f"127.0.0.1:{replica.port}"],
        },
        {"name": "empty", "prefix": "/empty"},
    )
    for app in ("chat", "tight", "brief", "other"):
        edge.settled(app, 1)
    for app in ("chat", "brief", "other"):
        edge.answers(f"/{app}/v1/x")
    return edge
