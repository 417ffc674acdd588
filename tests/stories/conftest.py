"""One running platform for the stories; its services die where an order file says."""

from collections.abc import Iterator

import pytest

from midstage.local.platform import Platform

from .evidence import Orders
from .mortal import SPEED, mortal


@pytest.fixture(scope="session")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Orders:
    """Tells a service where to die."""
    return Orders(tmp_path_factory.mktemp("orders"))


@pytest.fixture(scope="session")
def platform(orders: Orders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The whole platform, replicas ten times as fast as in the trace."""
    directory = tmp_path_factory.mktemp("stories")
    with Platform(directory, speed=SPEED, instead=mortal(orders)) as running:
        yield running
