"""An Envoy, the facts it lives on, and a gateway between them, as stories use them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from midstage.contracts.routes import Way
from midstage.gateway.model.apps import Endpoint
from midstage.testkit.waiting import within
from tests import patient
from tests.ports import free_port

from .conftest import ACME, DEADLINE_S, Edge
from .deployment import Facts, Gateway, gateway
from .replica import Answering, Asked, Replica, running

PATIENT_S = 300.0
"""A caller that waits for as long as a story takes."""


class Story:
    """An Envoy, the facts it lives on, and a gateway between them."""

    def __init__(self, edge: Edge, stack: ExitStack) -> None:
        self.edge = edge
        self.facts = Facts()
        self._stack = stack

    @contextmanager
    def gateway(self, **asked: object) -> Iterator[Gateway]:
        with gateway(self.edge, self.facts.log, **asked) as one:  # type: ignore[arg-type]  # as it takes them
            within(DEADLINE_S, lambda: one.routing.configuration.told is not None)
            yield one

    def replica(self, port: int = 0) -> Replica:
        return self._stack.enter_context(running(port))

    def envoy(self) -> None:
        """Start Envoy, on the files that gateway wrote."""
        self.edge.start()
        self._stack.callback(self.edge.stop)

    def statuses(self, count: int, path: str = "/chat/v1/x") -> set[int]:
        with patient.client(headers=ACME) as client:
            return {client.get(self.edge.url(path)).status_code for _ in range(count)}

    def slow(self) -> httpx.Response:
        """A stream that ends when the replica lets it."""
        headers = {**ACME, "x-midstage-ref": "slow"}
        return patient.get(self.edge.url("/chat/v1/slow"), headers=headers, timeout=PATIENT_S)

    def await_serving(self, *pods: str) -> None:
        """Wait until exactly these serve, and until each of Envoy's workers has heard of it."""
        self.facts.await_ways(**dict.fromkeys(pods, Way.SERVING))
        self.edge.answers("/chat/v1/x")

    def draining(self, port: int, app: str = "chat") -> bool:
        """Whether Envoy shows it so."""
        host = self.edge.admin.seen().hosts.get((app, Endpoint(host="127.0.0.1", port=port)))
        return host is not None and host.draining


@contextmanager
def told(root: Path, binary: Path) -> Iterator[Story]:
    """A story; its Envoy and replicas end with it."""
    edge = Edge(root=root, binary=binary, port=free_port(), admin_port=free_port())
    with ExitStack() as stack:
        yield Story(edge, stack)


def held(release: threading.Event) -> Callable[[Asked, Answering], None]:
    """A stream whose end waits for ``release``."""

    def behaviour(asked: Asked, answering: Answering) -> None:
        answering.events(b"one")
        assert release.wait(PATIENT_S)
        answering.chunk(b"data: two\n\n")
        answering.end()

    return behaviour
