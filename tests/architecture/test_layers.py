"""Each sentence of the design that a linter guards was once seen to fail: here, every time."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
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
        "services/throttle/src/midstage/throttle/decide/limits.py",
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


NEW_ROOM = "services/stats/src/midstage/stats/utils.py"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout's sources, to be broken."""
    here = tmp_path_factory.mktemp("copy")
    for each in distributions():
        shutil.copytree(each.source, here / each.source.relative_to(ROOT))
    shutil.copy(ROOT / "pyproject.toml", here)
    return here


@pytest.fixture(scope="module")
def whole(copy: Path) -> Mapping[str, str]:
    """What the linter says of the tree as it is."""
    return _broken(copy)


@pytest.fixture(scope="module")
def breached(copy: Path, whole: Mapping[str, str]) -> Mapping[str, str]:
    """What it says where all breaches are there at once: a run takes seconds, whatever it finds."""
    for _, file, line in BREACHES:
        with (copy / file).open("a") as source:
            source.write(f"\n{line}\n")
    (copy / NEW_ROOM).write_text('"""A room that the design does not know."""\n')
    return _broken(copy)


@pytest.mark.slow
def test_the_tree_as_it_is_keeps_every_contract(whole: Mapping[str, str]) -> None:
    assert whole == {}


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "file", "line"), BREACHES)
def test_a_breach_is_seen(breached: Mapping[str, str], contract: str, file: str, line: str) -> None:
    importer = _module(file)
    imported = line.removeprefix("import ")
    assert re.search(rf"(?m)\b{importer} -> {imported} \(l\.", breached[contract])


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
def test_a_new_kind_of_room_is_refused(breached: Mapping[str, str]) -> None:
    assert _module(NEW_ROOM) in breached["every service has the same rooms, stacked the same way"]


def _module(file: str) -> str:
    parts = Path(file).with_suffix("").parts
    return ".".join(parts[parts.index("midstage") :]).removesuffix(".__init__")


def _is_service(distribution: Distribution) -> bool:
    return distribution.folder.parent.name == "services"


def _broken(copy: Path) -> Mapping[str, str]:
    """What the linter finds of each contract that is broken."""
    sources = [str(copy / each.source.relative_to(ROOT)) for each in distributions()]
    # -S leaves out the editable installs, so that only the copy is seen
    packages = next(each for each in sys.path if each.endswith("site-packages"))
    linter = "from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run(
        [sys.executable, "-S", "-c", linter, "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sources, packages]), "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )
    names = re.findall(r"(?m)^(.+?) BROKEN", done.stdout)
    assert done.returncode == 0 or names, done.stdout + done.stderr
    found = re.split(r"(?m)^(.+)\n-+$", done.stdout.partition("Broken contracts")[2])
    told = dict(zip(found[1::2], found[2::2], strict=True))
    assert told.keys() == set(names), done.stdout
    return told
