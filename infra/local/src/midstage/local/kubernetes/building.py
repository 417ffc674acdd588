"""The one binary of all programs, kubectl too, built from ``infra/local/kubernetes`` when needed.

It is kept in the cache under the hash of its sources, of Go's version and of the build's flags.
One process builds, others wait for it. The build runs with low priority, and tells how far it is.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from midstage.local import fetch
from midstage.local.errors import PlatformError
from midstage.local.jars import nothing_said
from midstage.local.kubernetes import compiling, golang
from midstage.local.kubernetes.golang import Go

SOURCES = Path(__file__).parents[4] / "kubernetes"
FILES = ("main.go", "go.mod", "go.sum")
ROOM_BYTES = 6 * 1024**3
"""What a first build needs, most of it only until it is done."""
_BINARY = "kubernetes"
_DIGEST = "kubernetes.sha256"
_LOOK_S = 0.2
_SAY_EVERY_S = 10.0


def binary(*, sources: Path = SOURCES, say: Callable[[str], None] = nothing_said) -> Path:
    """The binary, proven by the hash it had when it was built; PlatformError says why not."""
    go = golang.chosen(_required(sources, r"(?m)^go (\S+)"))
    name = name_of(sources, go.version)
    within = fetch.cache()
    if not (within / name).is_dir():
        within.mkdir(parents=True, exist_ok=True)
        with _alone(within / f".{name}.lock", say=say):
            return _folder(name, within, sources, go, say) / _BINARY
    return _folder(name, within, sources, go, say) / _BINARY


def name_of(sources: Path, go_version: str) -> str:
    """The folder's name in the cache: another one for other sources, another Go, other flags."""
    told = hashlib.sha256()
    for part in (go_version, *flags(sources)):
        told.update(part.encode() + b"\0")
    for file in FILES:
        told.update((sources / file).read_bytes() + b"\0")
    return f"kubernetes-{told.hexdigest()[:12]}"


def flags(sources: Path) -> Sequence[str]:
    """How it is built: without what only debuggers need, and saying its own version."""
    version = _required(sources, r"(?m)^\s*k8s\.io/kubernetes (v\S+)")
    major, minor, *_ = version.removeprefix("v").split(".")
    said = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = " ".join(
        f"-X k8s.io/component-base/version.{key}={value}" for key, value in said.items()
    )
    return ["-trimpath", "-buildvcs=false", "-mod=readonly", f"-ldflags=-s -w {stamps}"]


def _required(sources: Path, pattern: str) -> str:
    try:
        match = re.search(pattern, (sources / "go.mod").read_text())
    except OSError as e:
        raise PlatformError(
            f"the sources of the Kubernetes binary are not in {sources} ({e.strerror}):"
            " run midstage from its checkout"
        ) from e
    if match is None:
        raise PlatformError(f"{sources / 'go.mod'} does not say {pattern!r}")
    return match.group(1)


def _folder(name: str, within: Path, sources: Path, go: Go, say: Callable[[str], None]) -> Path:
    return fetch.folder(
        name, within=within, fill=lambda at: _fill(at, sources, go, say), check=_check
    )


def _fill(at: Path, sources: Path, go: Go, say: Callable[[str], None]) -> None:
    fetch.require_room(at, least=ROOM_BYTES)
    program = go.ready(say)
    version = _required(sources, r"(?m)^\s*k8s\.io/kubernetes (v\S+)")
    say(f"building Kubernetes {version} with Go {go.version}, once: 6 to 15 minutes on two cores")
    with tempfile.TemporaryDirectory(dir=at.parent, ignore_cleanup_errors=True) as aside:
        for file in FILES:
            shutil.copyfile(sources / file, Path(aside) / file)
        compiling.compiled(
            [str(program), "build", "-v", *flags(sources), "-o", str(at / _BINARY), "."],
            what="Kubernetes",
            within=Path(aside),
            env={**os.environ, **go.env(Path(aside))},
            say=say,
        )
    (at / _DIGEST).write_text(fetch.digest(at / _BINARY))


def _check(at: Path) -> None:
    recorded = at / _DIGEST
    fetch.verify(at, {_BINARY: recorded.read_text() if recorded.is_file() else ""})


@contextlib.contextmanager
def _alone(file: Path, *, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of this build; who comes second hears that it waits, and for how long."""
    began = time.monotonic()
    said = 0.0
    with file.open("a") as lock:
        while not _taken(lock.fileno()):
            waited = time.monotonic() - began
            if waited >= said:
                say(f"another process builds Kubernetes: waiting for it ({waited:.0f} s)")
                said = waited + _SAY_EVERY_S
            time.sleep(_LOOK_S)
        yield


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
