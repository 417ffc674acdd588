"""Each sentence of the design that a linter guards was once seen to fail: here, every time."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .conftest import ROOT, Distribution, distributions

BREACHES = [
    (
        "services never import each other",
        "services/stats/src/midstage/stats/stream/__init__.py",
        "import midstage.throttle.model",
    ),
    (
        "services never import each other",
        "services/deploy/src/midstage/deploy/model.py",
        "import midstage.hpa.model",
    ),
    (
        "services stand on libs, libs on contracts",
        "libs/contracts/src/midstage/contracts/units.py",
        "import midstage.eventlog.log",
    ),
    (
        "services stand on libs, libs on contracts",
        "libs/cluster/src/midstage/cluster/fit.py",
        "import midstage.control.model",
    ),
    (
        "every service has the same rooms, stacked the same way",
        "services/stats/src/midstage/stats/model/__init__.py",
        "import midstage.stats.main",
    ),
    (
        "decisions are pure",
        "services/throttle/src/midstage/throttle/decide.py",
        "import time",
    ),
    (
        "decisions are pure",
        "services/hpa/src/midstage/hpa/decide/rules.py",
        "import random",
    ),
    (
        "only adapters know clients",
        "services/stats/src/midstage/stats/stream/__init__.py",
        "import duckdb",
    ),
    (
        "only adapters know clients",
        "services/data/src/midstage/data/stream/__init__.py",
        "import pyarrow",
    ),
    (
        "the log has one client, in one module",
        "libs/eventlog/src/midstage/eventlog/codec.py",
        "import confluent_kafka",
    ),
    (
        "only tests know the testkit",
        "services/gateway/src/midstage/gateway/main.py",
        "import midstage.testkit",
    ),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout's sources, to be broken."""
    here = tmp_path_factory.mktemp("copy")
    for each in distributions():
        shutil.copytree(each.source, here / each.source.relative_to(ROOT))
    shutil.copy(ROOT / "pyproject.toml", here)
    return here


@pytest.mark.slow
def test_the_tree_as_it_is_keeps_every_contract(copy: Path) -> None:
    assert _broken(copy) == set()


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "file", "line"), BREACHES)
def test_a_breach_is_seen(copy: Path, contract: str, file: str, line: str) -> None:
    target = copy / file
    before = target.read_text()
    target.write_text(f"{before}\n{line}\n")
    try:
        assert contract in _broken(copy)
    finally:
        target.write_text(before)


def test_every_contract_has_a_breach() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    named = {each["name"] for each in linter["contracts"]}
    assert named == {contract for contract, _, _ in BREACHES}


def test_every_service_stands_in_every_contract_of_services() -> None:
    services = {each.name.replace("-", ".") for each in distributions() if _is_service(each)}
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert services <= set(linter["root_packages"])
    for each in linter["contracts"]:
        said = {*each.get("modules", ()), *each.get("containers", ())}
        said |= {".".join(name.split(".")[:2]) for name in each.get("source_modules", ())}
        said |= {name for layer in each.get("layers", ()) for name in layer.split(" | ")}
        assert services <= said or "midstage.*" in said, each["name"]


@pytest.mark.slow
def test_a_new_kind_of_room_is_refused(copy: Path) -> None:
    room = copy / "services/stats/src/midstage/stats/utils.py"
    room.write_text('"""A room that the design does not know."""\n')
    try:
        assert "every service has the same rooms, stacked the same way" in _broken(copy)
    finally:
        room.unlink()


def _is_service(distribution: Distribution) -> bool:
    return distribution.folder.parent.name == "services"


def _broken(copy: Path) -> set[str]:
    sources = [str(copy / each.source.relative_to(ROOT)) for each in distributions()]
    # -S leaves out the editable installs, so that only the copy is seen
    packages = next(each for each in sys.path if each.endswith("site-packages"))
    linter = "from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run(
        [sys.executable, "-S", "-c", linter, "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sources, packages])},
        capture_output=True,
        text=True,
        check=False,
    )
    broken = set(re.findall(r"(?m)^(.+?) BROKEN", done.stdout))
    assert done.returncode == 0 or broken, done.stdout + done.stderr
    return broken
