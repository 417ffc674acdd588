"""Each sentence of the design that a linter guards was once seen to fail: here, every time."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, distributions

BREACHES = {
    "services never import each other": (
        "services/stats/src/midstage/stats/stream/__init__.py",
        "import midstage.throttle.model",
    ),
    "services stand on libs, libs on contracts": (
        "libs/contracts/src/midstage/contracts/units.py",
        "import midstage.eventlog.log",
    ),
    "every service has the same rooms, stacked the same way": (
        "services/stats/src/midstage/stats/model.py",
        "import midstage.stats.main",
    ),
    "decisions are pure": ("services/throttle/src/midstage/throttle/decide.py", "import time"),
    "only adapters know clients": (
        "services/stats/src/midstage/stats/stream/__init__.py",
        "import duckdb",
    ),
    "the log has one client, in one module": (
        "libs/eventlog/src/midstage/eventlog/codec.py",
        "import confluent_kafka",
    ),
    "only tests know the testkit": (
        "services/gateway/src/midstage/gateway/main.py",
        "import midstage.testkit",
    ),
}


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
@pytest.mark.parametrize("contract", BREACHES)
def test_a_breach_is_seen(copy: Path, contract: str) -> None:
    file, line = BREACHES[contract]
    target = copy / file
    before = target.read_text()
    target.write_text(f"{before}\n{line}\n")
    try:
        assert contract in _broken(copy)
    finally:
        target.write_text(before)


@pytest.mark.slow
def test_a_new_kind_of_room_is_refused(copy: Path) -> None:
    room = copy / "services/stats/src/midstage/stats/utils.py"
    room.write_text('"""A room that the design does not know."""\n')
    try:
        assert "every service has the same rooms, stacked the same way" in _broken(copy)
    finally:
        room.unlink()


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
