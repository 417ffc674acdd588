"""One running platform for the stories; its services die where an order file says."""

import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from midstage.local.errors import PlatformError
from midstage.local.lifecycle import State
from midstage.local.platform import Platform

from .evidence import Orders
from .mortal import SPEED, mortal


@pytest.fixture(scope="session")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Orders:
    """Tells a service where to die."""
    return Orders(tmp_path_factory.mktemp("orders"))


@pytest.fixture(autouse=True)
def restored(request: pytest.FixtureRequest) -> Iterator[None]:
    """A story that fails leaves no process asleep, and no order to die, to the next one."""
    if "platform" not in request.fixturenames:
        yield
        return
    orders: Orders = request.getfixturevalue("orders")
    running: Platform = request.getfixturevalue("platform")
    yield
    orders.withdraw()
    for name, life in running.supervisor.lives().items():
        if life.state is State.RUNNING:
            with suppress(PlatformError):  # it has just died, and is started again
                running.kill(name, signal.SIGCONT)


@pytest.fixture(scope="session")
def platform(orders: Orders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The whole platform, replicas ten times as fast as in the trace."""
    directory = tmp_path_factory.mktemp("stories")
    with Platform(directory, speed=SPEED, instead=mortal(orders)) as running:
        yield running
