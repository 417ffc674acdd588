"""Kafka's jars, fetched with jgo from Maven Central by the coordinates in ``kafka.lock``.

Each line of the lock is ``group:artifact:version SHA-256``; nothing is resolved at run time, so
what runs is what was pinned.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.maven import MavenContext

from midstage.local import fetch
from midstage.local.errors import PlatformError

LOCK = Path(__file__).with_name("kafka.lock")
_AT_ONCE = 8
_TRIES = 3
_SAY_EVERY = 9
_TIMEOUT_S = 60


def nothing_said(_: str) -> None:
    """Progress that nobody wants to hear of."""


def fetched(*, say: Callable[[str], None] = nothing_said) -> Path:
    """The folder with all jars, each proven by its hash; fetched at the first use."""
    pinned = read(LOCK)
    hashes = {_file(coordinates): sha for coordinates, sha in pinned.items()}
    return fetch.folder(
        f"kafka-{fetch.digest(LOCK)[:12]}",
        within=fetch.cache(),
        fill=lambda at: _fill(at, pinned, say=say),
        check=lambda at: fetch.verify(at, hashes),
    )


def read(lock: Path) -> Mapping[str, str]:
    """The pinned coordinates with their SHA-256."""
    lines = (line for line in lock.read_text().splitlines() if line and line[0] != "#")
    return {line.split()[0]: line.split()[1] for line in lines}


def _fill(at: Path, pinned: Mapping[str, str], *, say: Callable[[str], None]) -> None:
    def one(coordinates: str) -> None:
        target = at / _file(coordinates)
        _download(coordinates, pinned[coordinates], target)
        here = sum(1 for _ in at.iterdir())
        if here % _SAY_EVERY == 0:
            say(f"fetched {here} of Kafka's {len(pinned)} jars")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(one, pinned):
            pass


def _download(coordinates: str, sha: str, target: Path) -> None:
    reason = ""
    for _ in range(_TRIES):
        with tempfile.TemporaryDirectory() as repository:
            try:
                file = _resolved(coordinates, Path(repository))
            except (OSError, RuntimeError) as e:  # what requests and jgo raise
                reason = str(e)[:120] or type(e).__name__
                continue
            if fetch.digest(file) == sha:
                shutil.copyfile(file, target)
                return
            reason = "what came is not the pinned file"
    raise PlatformError(
        f"{coordinates} could not be fetched ({reason}):"
        " check the network to Maven Central and run again"
    )


def _resolved(coordinates: str, repository: Path) -> Path:
    group, artifact, version = coordinates.split(":")
    context = MavenContext(repo_cache=repository, timeout=_TIMEOUT_S)
    return context.project(group, artifact).at_version(version).artifact().resolve()


def _file(coordinates: str) -> str:
    _, artifact, version = coordinates.split(":")
    return f"{artifact}-{version}.jar"
