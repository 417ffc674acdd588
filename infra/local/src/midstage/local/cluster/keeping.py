"""What a local cluster knows after its death: workloads, leases, and a version above all before.

One JSON file, replaced as a whole. The mark of the versions moves in steps and always before a
version beyond it is seen, so no version is given twice, whenever the daemon dies.
"""

import os
from pathlib import Path

import msgspec

from midstage.cluster.objects import Lease, Workload
from midstage.local.errors import PlatformError


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The file's content; every version that was ever seen is below ``mark``."""

    mark: int = 0
    workloads: tuple[Workload, ...] = ()
    leases: dict[str, Lease] = {}


def read(file: Path) -> Kept:
    """What was kept; PlatformError where the file is not what was written."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except (OSError, msgspec.MsgspecError) as e:
        raise PlatformError(f"{file} can't be read ({e}): remove it to begin with nothing") from e


def write(file: Path, kept: Kept) -> None:
    """Keep it, whole or not at all; OSError where it can't be."""
    draft = file.with_suffix(".new")
    with draft.open("wb") as out:
        out.write(msgspec.json.encode(kept))
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
