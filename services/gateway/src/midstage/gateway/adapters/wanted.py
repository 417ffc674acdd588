"""People's files: applications, callers' keys, and the edges' signing keys; and Envoy's directory.

Files with keys are refused when others can read them. No key is ever named in an error.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from midstage.contracts.errors import RefusedError
from midstage.contracts.fact import Name
from midstage.gateway.adapters import files
from midstage.gateway.decide import apps
from midstage.gateway.model.apps import App, Routing

_OTHERS = 0o077
_Hex = Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{2}){16,}$")]

_apps = msgspec.json.Decoder(apps.WrittenApps)
_api_keys = msgspec.json.Decoder(dict[str, str | apps.WrittenKey])
_edge_keys = msgspec.json.Decoder(dict[Name, _Hex])


class WantedFiles:
    """The applications file and the keys file."""

    def __init__(self, *, apps_file: Path | None, api_keys_file: Path) -> None:
        """Read nothing yet; without ``apps_file`` people have no applications of their own."""
        self._apps_file = apps_file
        self._api_keys_file = api_keys_file

    def read(self) -> Routing:
        """What both say now; RefusedError naming file and fault."""
        found = () if self._apps_file is None else _written(self._apps_file)
        secret = _secret(self._api_keys_file)
        try:
            keys = apps.keys(_api_keys.decode(secret))
        except RefusedError as e:
            raise RefusedError(f"{self._api_keys_file}: {e}") from e
        except msgspec.DecodeError as e:
            raise RefusedError(
                f"{self._api_keys_file} is no JSON object key: customer, "
                'or key: {"customer": …, "name": …}'
            ) from e
        return Routing(apps=found, keys=keys)


class ConfigDirectory:
    """The directory that Envoy watches."""

    def __init__(self, directory: Path) -> None:
        """Write into ``directory``."""
        self._dir = directory

    def holds(self, name: str) -> bool:
        """Whether the file is there."""
        return (self._dir / name).is_file()

    def replace(self, name: str, content: bytes) -> bool:
        """Make the file hold ``content``; whether it was another one before."""
        self._dir.mkdir(parents=True, exist_ok=True)
        file = self._dir / name
        if file.is_file() and file.read_bytes() == content:
            return False
        files.replace(file, content)
        return True


def signing_key(file: Path, edge: str) -> bytes:
    """The key of this edge; RefusedError where the file has none."""
    try:
        keys = _edge_keys.decode(_secret(file))
    except msgspec.DecodeError as e:
        raise RefusedError(f"{file} is no JSON object edge: hexadecimal key") from e
    if edge not in keys:
        raise RefusedError(f"{file} has no key of edge {edge!r}; add one of 32 bytes in hex")
    return bytes.fromhex(keys[edge])


def _written(file: Path) -> tuple[App, ...]:
    try:
        return apps.apps(_apps.decode(_content(file)))
    except (msgspec.DecodeError, RefusedError) as e:
        raise RefusedError(f"{file}: {e}") from e


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as e:
        raise RefusedError(f"{file} can't be read: {e.strerror}") from e


def _secret(file: Path) -> bytes:
    content = _content(file)
    if file.stat().st_mode & _OTHERS:
        raise RefusedError(f"{file} is open to others; run: chmod 600 {file}")
    return content
