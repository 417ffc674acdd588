"""A bundle: a folder of specs and scripts in one tar.gz or zip, read in memory and nowhere else.

Everything is counted while it is read, never as the archive says. What could write elsewhere, be
two things at once, or grow without end is refused before any of it is used.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from midstage.contracts.errors import RefusedError
from midstage.specs import paths, tarred, zipped
from midstage.specs.inflating import gunzipped
from midstage.specs.tarred import Entry

LARGEST_BYTES = 1024 * 1024
LARGEST_UNPACKED = 16 * 1024 * 1024
LARGEST_FILE = 1024 * 1024
MOST_ENTRIES = 1000
MOST_SPECS_BYTES = 1024 * 1024
"""Parsing takes far longer than reading, so all specs of a bundle together are no larger."""


class Packing(StrEnum):
    """How a bundle is packed; the values are its content types."""

    GZIP = "application/gzip"
    ZIP = "application/zip"

    @property
    def told(self) -> str:
        """How people call it."""
        return "tar.gz" if self is Packing.GZIP else "zip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The files of a bundle by name; ``digest`` is the SHA-256 of its bytes as they came."""

    digest: str
    contents: Mapping[str, bytes]

    def specs(self) -> Sequence[str]:
        """The names of its specs, sorted."""
        return sorted(name for name in self.contents if paths.is_spec(name))

    def read(self, name: str) -> bytes:
        """A file; RefusedError where there is none."""
        if name not in self.contents:
            raise RefusedError(f"{paths.shown(name)} is not in the bundle")
        return self.contents[name]

    def shown(self, name: str) -> str:
        """The name itself."""
        return name


def packing_of(raw: bytes) -> Packing | None:
    """How these bytes are packed, by how they begin; None where they are no bundle."""
    if raw.startswith(b"\x1f\x8b"):
        return Packing.GZIP
    return Packing.ZIP if raw.startswith((b"PK\x03\x04", b"PK\x05\x06")) else None


def bundle(raw: bytes) -> Bundle:
    """The bundle that these bytes are; RefusedError says why they are none, or a harmful one."""
    if len(raw) > LARGEST_BYTES:
        raise RefusedError(f"the bundle has more than {LARGEST_BYTES} bytes", status=413)
    match packing_of(raw):
        case Packing.GZIP:
            unpacked = gunzipped(raw, most=LARGEST_UNPACKED)
            found = tarred.entries(unpacked, largest=LARGEST_FILE)
        case Packing.ZIP:
            found = zipped.entries(raw, largest=LARGEST_FILE, most=LARGEST_UNPACKED)
        case None:
            raise RefusedError("a bundle is a tar.gz or a zip; this is neither")
    held = Bundle(digest=hashlib.sha256(raw).hexdigest(), contents=_apart(found))
    _check_specs(held)
    return held


def _apart(found: Iterable[Entry]) -> dict[str, bytes]:
    """The files by plain names that differ on every system."""
    names: list[str] = []
    folders: set[str] = set()
    contents: dict[str, bytes] = {}
    for number, entry in enumerate(found):
        if number >= MOST_ENTRIES:
            raise RefusedError(f"the bundle has more than {MOST_ENTRIES} entries", status=413)
        name = paths.plain(entry.name)
        if entry.content is None:
            folders.add(paths.sameness(name))
        elif not name:
            raise RefusedError("a file of the bundle has no name")
        else:
            names.append(name)
            contents[name] = entry.content
    paths.check_apart(names)
    for name in names:
        if paths.sameness(name) in folders:
            raise RefusedError(f"{paths.shown(name)} is a file and a folder")
    return contents


def _check_specs(held: Bundle) -> None:
    specs = held.specs()
    if not specs:
        raise RefusedError("the bundle has no *.yaml, *.yml or *.json")
    if sum(len(held.contents[name]) for name in specs) > MOST_SPECS_BYTES:
        raise RefusedError(
            f"the specs of the bundle have more than {MOST_SPECS_BYTES} bytes", status=413
        )
