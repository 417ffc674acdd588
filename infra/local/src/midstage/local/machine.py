"""What this machine must have for an embedded platform, said in one sentence where it has not."""

import sys
from pathlib import Path

from midstage.local import fetch
from midstage.local.errors import PlatformError


def require(directory: Path) -> None:
    """Refuse a machine on which the platform could not run."""
    if sys.platform != "linux":
        raise PlatformError(
            f"the embedded platform runs on Linux alone (this is {sys.platform}): Kafka and Envoy"
            " are tied to it by Linux means; use a Linux machine, a virtual one or WSL"
        )
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    fetch.require_room(directory)
