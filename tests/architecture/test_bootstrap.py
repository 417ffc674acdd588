"""Set-up says what is missing in one sentence with the remedy, and is a look the second time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as set-up looks at."""
    for file in ["requirements.lock", "pyproject.toml", "infra/bootstrap.py", "Makefile"]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "infra/local").mkdir()
    shutil.copy(ROOT / "infra/local/pyproject.toml", tmp_path / "infra/local")
    return tmp_path


def set_up(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, checkout / "infra/bootstrap.py"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def altered(checkout: Path, before: str, after: str) -> None:
    file = checkout / "infra/bootstrap.py"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_an_old_python_is_named_with_the_remedy(checkout: Path) -> None:
    altered(checkout, "OLDEST = (3, 11)", "OLDEST = (9, 9)")
    done = set_up(checkout)
    assert done.returncode == 1
    assert "Python 9.9 or later is needed" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_full_disk_is_named_with_the_remedy(checkout: Path) -> None:
    altered(checkout, "FREE_BYTES = 3 * 1024**3", "FREE_BYTES = 1024**6")
    done = set_up(checkout)
    assert done.returncode == 1
    assert "free some disk space" in done.stderr


@pytest.mark.slow
def test_a_network_that_is_away_is_named_with_the_remedy(checkout: Path) -> None:
    done = set_up(
        checkout,
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_NO_CACHE_DIR="1",
        PIP_FIND_LINKS="",
        PIP_RETRIES="0",
        PIP_TIMEOUT="1",
    )
    assert done.returncode == 1
    assert "check the network" in done.stderr
    assert str(checkout / "build/setup.log") in done.stderr
    assert not (checkout / ".venv/midstage-setup.sha256").exists()


def test_no_python_at_all_is_named_with_the_remedy(checkout: Path) -> None:
    make = shutil.which("make")
    assert make is not None
    done = subprocess.run(
        [make, "setup", "PYTHON="], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "midstage needs Python 3.11 or later and found none" in done.stderr


def test_an_unknown_argument_is_refused(checkout: Path) -> None:
    done = subprocess.run(
        [sys.executable, checkout / "infra/bootstrap.py", "lokc"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "takes no argument but 'lock'" in done.stderr


def test_an_interrupted_set_up_says_how_to_go_on(checkout: Path) -> None:
    altered(
        checkout, "    if sys.version_info < OLDEST:", "    raise KeyboardInterrupt\n    if False:"
    )
    done = set_up(checkout)
    assert done.returncode == 1
    assert done.stderr == "midstage: set-up was interrupted: run it again, nothing is lost\n"
