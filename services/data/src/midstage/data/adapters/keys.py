"""The edges' signing keys, from a JSON file of mode 0600: edge name to key in hex.

The file is read again whenever it has changed, so an edge that joins or a key that is withdrawn
counts from the next record on.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from midstage.contracts.errors import UnavailableError
from midstage.contracts.fact import Name

_OTHERS = 0o077
_Hex = Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{2}){16,}$")]
_file = msgspec.json.Decoder(dict[Name, _Hex])


class KeyFile:
    """Calling it gives the keys as they stand in the file now."""

    def __init__(self, file: Path) -> None:
        """Read the file; UnavailableError when that can't be done."""
        self._path = file
        self._name = str(file)
        self._read: tuple[int, int, int] | None = None
        self._keys: Mapping[str, bytes] = {}
        self()

    def __call__(self) -> Mapping[str, bytes]:
        """Edge name to key; UnavailableError names what to do where the file can't be used."""
        try:
            now = os.stat(self._name)  # noqa: PTH116  this runs for each record: Path.stat costs more
            identity = (now.st_mtime_ns, now.st_ino, now.st_size)
            if identity != self._read:
                self._keys = self._load(now.st_mode)
                self._read = identity
        except (OSError, msgspec.DecodeError) as error:
            raise UnavailableError(f"edge keys {self._path} can't be read: {error}") from error
        return self._keys

    def _load(self, mode: int) -> Mapping[str, bytes]:
        if mode & _OTHERS:
            raise UnavailableError(f"{self._path} is open to others; run: chmod 600 {self._path}")
        held = _file.decode(self._path.read_bytes())
        return {edge: bytes.fromhex(key) for edge, key in held.items()}
