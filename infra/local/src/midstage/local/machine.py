"""What this machine must have for an embedded platform, said in one sentence where it has not."""

import sys
import tempfile
from pathlib import Path

from midstage.local import fetch
from midstage.local.errors import PlatformError

_OTHER = "name another folder with --dir"


def require(directory: Path) -> None:
    """Refuse a machine on which the platform could not run."""
    if sys.platform != "linux":
        raise PlatformError(
            f"the embedded platform runs on Linux alone (this is {sys.platform}): Kafka and Envoy"
            " are tied to it by Linux means; use a Linux machine, a virtual one or WSL"
        )
    if "," in str(directory):
        raise PlatformError(f"{directory} has a comma, which Kafka takes for two folders: {_OTHER}")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass  # it can be written
    except OSError as e:
        raise PlatformError(f"{directory} can't be written ({e.strerror}): {_OTHER}") from e
    fetch.require_room(directory)
