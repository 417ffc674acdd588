"""One running platform for the stories; its services die where an order file says."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from midstage.local.platform import Platform
from midstage.local.table import Instead

from .evidence import Orders

SPEED = 10
MORTAL = ("gateway", "stats", "throttle", "control", "hpa", "deploy", "data")


@pytest.fixture(scope="session")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Orders:
    """Tells a service where to die."""
    return Orders(tmp_path_factory.mktemp("orders"))


@pytest.fixture(scope="session")
def platform(orders: Orders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The whole platform, replicas ten times as fast as in the trace."""
    instead = {name: Instead(command=_mortal(name, orders.folder / name)) for name in MORTAL}
    with Platform(tmp_path_factory.mktemp("stories"), speed=SPEED, instead=instead) as running:
        yield running


def _mortal(service: str, order: Path) -> list[str]:
    killing = [sys.executable, "-m", "midstage.testkit.kill", "--order", str(order)]
    return [*killing, "--", f"midstage.{service}.main"]
