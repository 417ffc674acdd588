"""The customers' keys, from the file that gateway's Envoy takes them from: key to customer.

It is read again whenever it has changed, so a key that is withdrawn ends at once. No key is ever
named in an error, and no file is a platform on which customers have no keys.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from midstage.contracts.errors import UnavailableError
from midstage.contracts.fact import Name
from midstage.contracts.requests import UNKNOWN_CUSTOMER

_OTHERS = 0o077
_file = msgspec.json.Decoder(dict[str, Name])


class CallerKeys:
    """Calling it gives the keys as they stand in the file now."""

    def __init__(self, file: Path | None) -> None:
        """Read nothing yet."""
        self._file = file
        self._read: tuple[int, int, int] | None = None
        self._keys: Mapping[str, str] = {}

    def __call__(self) -> Mapping[str, str]:
        """Key to customer; UnavailableError names what to do where the file can't be used."""
        if self._file is None:
            return {}
        try:
            now = self._file.stat()
            identity = (now.st_mtime_ns, now.st_ino, now.st_size)
            if identity != self._read:
                self._keys, self._read = _known(self._file, now), identity
        except (OSError, msgspec.DecodeError) as error:
            raise UnavailableError(
                f"the customers' keys in {self._file} can't be read; see that it is a JSON object "
                "of key and customer"
            ) from error
        return self._keys


def _known(file: Path, stat: os.stat_result) -> Mapping[str, str]:
    if stat.st_mode & _OTHERS:
        raise UnavailableError(f"{file} is open to others; run: chmod 600 {file}")
    held = _file.decode(file.read_bytes())
    return {key: customer for key, customer in held.items() if key and customer != UNKNOWN_CUSTOMER}
