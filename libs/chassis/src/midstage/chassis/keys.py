"""Secret keys in files of mode 0600, read again whenever they have changed.

So an edge that joins or a key that is withdrawn counts from the next question on. A file that is
open to others is refused.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import msgspec

from midstage.contracts.errors import UnavailableError
from midstage.contracts.fact import Name

T = TypeVar("T")

_OTHERS = 0o077
_Hex = Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{2}){16,}$")]
_edges = msgspec.json.Decoder(dict[Name, _Hex])


class PrivateFile(Generic[T]):
    """Calling it gives what the file says now."""

    def __init__(
        self, file: Path, *, read: Callable[[bytes], T], unusable: Callable[[Exception], str]
    ) -> None:
        """Read nothing yet.

        ``read`` may raise msgspec's DecodeError; ``unusable`` says in a sentence what to do then,
        or where the file can't be read.
        """
        self._path = file
        self._name = str(file)
        self._decoded = read
        self._unusable = unusable
        self._held: tuple[tuple[int, int, int], T] | None = None

    def __call__(self) -> T:
        """What it says; UnavailableError names what to do where the file can't be used."""
        try:
            now = os.stat(self._name)  # noqa: PTH116  this runs for each record: Path.stat costs more
            identity = (now.st_mtime_ns, now.st_ino, now.st_size)
            held = self._held
            if held is None or held[0] != identity:
                held = self._held = (identity, self._read(now.st_mode))
        except (OSError, msgspec.DecodeError) as error:
            raise UnavailableError(self._unusable(error)) from error
        return held[1]

    def _read(self, mode: int) -> T:
        if mode & _OTHERS:
            raise UnavailableError(f"{self._path} is open to others; run: chmod 600 {self._path}")
        return self._decoded(self._path.read_bytes())


def edge_keys(file: Path) -> PrivateFile[Mapping[str, bytes]]:
    """The edges' signing keys by edge name, from JSON with the keys in hex.

    The file is read at once: UnavailableError when that can't be done.
    """

    def read(content: bytes) -> Mapping[str, bytes]:
        return {edge: bytes.fromhex(key) for edge, key in _edges.decode(content).items()}

    keys = PrivateFile[Mapping[str, bytes]](
        file, read=read, unusable=lambda error: f"edge keys {file} can't be read: {error}"
    )
    keys()
    return keys
