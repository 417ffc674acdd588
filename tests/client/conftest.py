"""The command as people run it: a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.client.services import services

__all__ = ["midstage", "services", "token"]


@pytest.fixture(scope="session")
def midstage() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``midstage`` with these arguments; no directory is set but by the test."""
    clean = {name: value for name, value in os.environ.items() if name != "MIDSTAGE_DIR"}

    def run(
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "midstage.client.main", *arguments],
            env={**clean, **(env or {})},
            input=stdin,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=270,
            check=False,
        )

    return run


@pytest.fixture
def token(tmp_path: Path) -> str:
    """The file of the token "secret"."""
    file = tmp_path / "token"
    file.write_text("secret")
    file.chmod(0o600)
    return str(file)
