"""What stands behind the command `midstage`: its distribution, and those that add to it."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from midstage.client import VERSION

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
Midstage = Callable[..., CompletedProcess[str]]


def test_the_version_is_the_distributions(midstage: Midstage) -> None:
    declared = tomllib.loads((ROOT / "libs/client/pyproject.toml").read_text())["project"]
    assert declared["version"] == VERSION
    assert declared["scripts"] == {"midstage": "midstage.client.main:main"}
    ended = midstage("--version")
    assert (ended.returncode, ended.stdout) == (0, f"midstage {VERSION}\n")


def plugin(directory: Path, name: str, code: str) -> None:
    """A distribution in ``directory`` that adds a command by its entry point."""
    info = directory / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[midstage.commands]\n{name} = {name}:register\n")
    (directory / f"{name}.py").write_text(code)


def test_another_distribution_adds_its_commands(midstage: Midstage, tmp_path: Path) -> None:
    plugin(
        tmp_path,
        "flying",
        "def register(app):\n"
        "    @app.command('fly')\n"
        "    def fly(height: int):\n"
        "        print('at', height)\n",
    )
    ended = midstage("fly", "7", env={"PYTHONPATH": str(tmp_path)})
    assert (ended.returncode, ended.stdout) == (0, "at 7\n")


def test_a_command_that_can_not_be_loaded_does_not_take_the_others_away(
    midstage: Midstage, tmp_path: Path
) -> None:
    plugin(tmp_path, "broken", "import no_such_module\n")
    ended = midstage("--version", env={"PYTHONPATH": str(tmp_path)})
    assert (ended.returncode, ended.stdout) == (0, f"midstage {VERSION}\n")
    assert "the commands of broken:register are missing" in ended.stderr
