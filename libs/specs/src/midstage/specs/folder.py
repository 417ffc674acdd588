"""A folder of this machine: its specs are all its ``*.yaml``, ``*.yml`` and ``*.json``.

Hidden files and folders are left out, links are not followed out of the folder.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from midstage.contracts.errors import RefusedError
from midstage.specs import paths

LARGEST_BYTES = 1024 * 1024
MOST_SPECS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder's files."""

    root: Path

    def specs(self) -> Sequence[str]:
        """The names of the specs, sorted; RefusedError where there are none, or too many."""
        found = sorted(self._found())
        if not found:
            raise RefusedError(f"{self.root} has no *.yaml, *.yml or *.json")
        if len(found) > MOST_SPECS:
            raise RefusedError(f"{self.root} has more than {MOST_SPECS} specs")
        return found

    def read(self, name: str) -> bytes:
        """A file's bytes; RefusedError where it can't be read, or stands outside of the folder."""
        file = self.root / name
        try:
            if not file.resolve().is_relative_to(self.root.resolve()):
                raise RefusedError(f"{paths.shown(name)} is a link out of {self.root}")
            if file.exists() and not file.is_file():
                raise RefusedError(f"{paths.shown(name)} is no file")
            with file.open("rb") as opened:
                raw = opened.read(LARGEST_BYTES + 1)
        except OSError as e:
            raise RefusedError(f"{file} can't be read: {e.strerror}") from e
        if len(raw) > LARGEST_BYTES:
            raise RefusedError(f"it is larger than {LARGEST_BYTES} bytes")
        return raw

    def shown(self, name: str) -> str:
        """The path of the file."""
        return str(self.root / name)

    def _found(self) -> Iterator[str]:
        for folder, inner, files in os.walk(self.root):
            inner[:] = sorted(each for each in inner if not each.startswith("."))
            for file in files:
                name = (Path(folder) / file).relative_to(self.root).as_posix()
                if paths.is_spec(name):
                    yield name
