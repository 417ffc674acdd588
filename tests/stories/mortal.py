"""The platform's services as processes that die where an order file says."""

import sys
from collections.abc import Mapping
from pathlib import Path

from midstage.local.table import Instead

from .evidence import Orders

SPEED = 10
MORTAL = ("gateway", "stats", "throttle", "control", "hpa", "deploy", "data")


def mortal(orders: Orders) -> Mapping[str, Instead]:
    """What to run instead of the services."""
    return {name: Instead(command=_mortal(name, orders.folder / name)) for name in MORTAL}


def _mortal(service: str, order: Path) -> list[str]:
    killing = [sys.executable, "-m", "midstage.testkit.kill", "--order", str(order)]
    return [*killing, "--", f"midstage.{service}.main"]
