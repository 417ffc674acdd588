"""The embedded platform gives each service settings that it reads, and all that it needs."""

from importlib import import_module
from pathlib import Path

import pytest

from midstage.local.addresses import SINGLE, addresses
from midstage.local.layout import Layout
from midstage.local.table import Table

from .conftest import distributions

SERVICES = [
    each.name.removeprefix("midstage-")
    for each in distributions()
    if each.folder.parent.name == "services"
]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    layout = Layout(root=tmp_path)
    ports = {name: 20_000 + number for number, name in enumerate(SINGLE)}
    return Table(
        layout=layout,
        addresses=addresses(ports, layout=layout),
        ports=ports,
        speed=1.0,
        instead={},
    )


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_takes_the_settings_that_the_platform_gives(table: Table, service: str) -> None:
    child = getattr(table, service)()
    config = import_module(f"midstage.{service}.config")
    read: set[str] = set()

    class Seen(dict[str, str]):
        def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
            read.add(name)
            return super().get(name, default)

        def __getitem__(self, name: str) -> str:
            read.add(name)
            return super().__getitem__(name)

    config.from_env(Seen(child.env))
    assert set(child.env) <= read
