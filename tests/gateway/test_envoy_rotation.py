"""A real Envoy whose log is rotated, and which is restarted, under load: nothing is lost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from midstage.chassis.clock import SystemClock
from midstage.eventlog.failpoint import nothing
from midstage.gateway.main import Topics, shipping
from midstage.gateway.metrics import Metrics
from midstage.gateway.stream.shipper import Shipper
from midstage.testkit.waiting import within
from tests import patient
from tests.ports import free_port

from .conftest import ACME, DEADLINE_S, Edge, looping
from .replica import running
from .shipping import Yard

pytestmark = pytest.mark.platform

CALLERS = 3


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path, rotate_bytes=8192)


@pytest.fixture
def edge(yard: Yard, envoy_binary: Path) -> Iterator[Edge]:
    with running() as replica:
        chat: dict[str, object] = {
            "name": "chat",
            "prefix": "/chat",
            "endpoints": [f"127.0.0.1:{replica.port}"],
        }
        edge = Edge(
            root=yard.root,
            binary=envoy_binary,
            port=free_port(),
            admin_port=free_port(),
            apps=[chat],
        )
        edge.configure()
        edge.start()
        edge.settled("chat", 1)
        yield edge
        edge.stop()


def shipper(yard: Yard, edge: Edge) -> Shipper:
    """A gateway that has just started, beside the Envoy that runs."""
    return shipping(
        yard.settings(),
        log=yard.log,
        envoy=edge.admin,
        clock=SystemClock(),
        topics=Topics(),
        metrics=Metrics(CollectorRegistry()),
        reached=nothing,
    )


@contextmanager
def load(edge: Edge) -> Iterator[list[str]]:
    """Callers, until the end of the block; the numbers of the requests that were answered."""
    answered: list[str] = []
    numbers, stop = count(1), threading.Event()

    def calls() -> None:
        with patient.client(headers=ACME) as caller:
            while not stop.is_set():
                ref = f"r{next(numbers)}"
                if caller.get(edge.url("/chat/v1/x"), headers={"x-midstage-ref": ref}).is_success:
                    answered.append(ref)

    threads = [threading.Thread(target=calls) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join(DEADLINE_S)


def closed(yard: Yard, least: int) -> bool:
    return len(yard.closings()) >= least


def more(answered: list[str], than: int) -> bool:
    return len(answered) > than


def test_rotation_under_load_and_a_restarted_gateway_lose_nothing(yard: Yard, edge: Edge) -> None:
    edge.answers("/chat/v1/before")
    with load(edge) as answered:
        for lives in range(1, 4):
            with looping(shipper(yard, edge)):
                within(DEADLINE_S, partial(closed, yard, lives))
            before = len(answered)
            within(DEADLINE_S, partial(more, answered, before))

    with looping(shipper(yard, edge)):
        within(DEADLINE_S, lambda: set(answered) <= set(yard.refs()))
    assert sorted(filter(None, yard.refs())) == sorted(answered)
    assert len({source for source, _ in yard.shipped()}) >= 4
    assert not [closing for closing in yard.closings() if closing.data.torn]


def test_an_envoy_that_restarts_twice_in_a_second_loses_no_line(yard: Yard, edge: Edge) -> None:
    with looping(shipper(yard, edge)):
        for life in range(3):
            assert edge.get("/chat/v1/x", f"life-{life}").status_code in {200, 503}
            edge.stop()
            edge.start()
        within(DEADLINE_S, lambda: {"life-0", "life-1", "life-2"} <= set(yard.refs()))
        within(DEADLINE_S, lambda: len(yard.closings()) == 3)

    assert [number for _, number in sorted(yard.shipped())] == [1, 1, 1]
