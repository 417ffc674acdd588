"""Which platform a command talks to: one in a directory, or addresses that were given.

``midstage up`` leaves ``platform.json`` in its directory; ``--server`` and ``--kafka`` go before
it. A directory where nothing runs is an error that says how to start something.
"""

import socket
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import typer

from midstage.contracts.errors import MidstageError, RefusedError, UnavailableError

FILE = "platform.json"
OTHERS = 0o077
CONNECT_S = 3.0

Directory = Annotated[
    Path,
    typer.Option("--dir", envvar="MIDSTAGE_DIR", help="The directory of a local platform."),
]
Server = Annotated[
    str | None, typer.Option(help="The base URL of the service to ask, instead of --dir.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="The file with the bearer token (mode 0600), instead of --dir's."),
]
HERE = Path(".midstage")


class NothingRunsError(MidstageError):
    """There is no platform to talk to; its text says how to start one."""


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """What ``platform.json`` says: base URLs, Kafka's address, the token's file."""

    kafka: str
    throttle: str
    stats: str
    gateway: str
    deploy: str
    control: str
    hpa: str
    data: str
    token_file: str


def in_directory(directory: Path) -> Platform:
    """The platform of ``directory``; NothingRunsError where there is none."""
    file = directory / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Platform)
    except (FileNotFoundError, NotADirectoryError) as e:
        raise nothing_runs(directory) from e
    except OSError as e:
        raise UnavailableError(f"{file} can't be read: {e}") from e
    except msgspec.DecodeError as e:
        raise RefusedError(f"{file} is of another version of midstage: {e}") from e


def nothing_runs(directory: Path) -> NothingRunsError:
    """The error for a directory without a running platform."""
    return NothingRunsError(
        f"no platform runs in {directory}; start one with make up, or name its directory with --dir"
    )


def answers(bootstrap: str) -> bool:
    """Whether something listens at one of these ``host:port`` addresses (with commas between)."""
    return any(_listens(address.strip()) for address in bootstrap.split(","))


def base_url(text: str) -> str:
    """A base URL as ``--server`` takes it; RefusedError says what it must look like."""
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise RefusedError(f"--server {text!r} is not a URL like http://127.0.0.1:8080")
    return text.rstrip("/")


def token_in(file: Path) -> str:
    """The bearer token in ``file``; RefusedError where it is missing or open to others."""
    try:
        mode = file.stat().st_mode
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise RefusedError(f"the token in {file} can't be read: {e}") from e
    if mode & OTHERS:
        raise RefusedError(f"{file} is open to others; run: chmod 600 {file}")
    return token


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise RefusedError(f"{address!r} is not host:port")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S):
            return True
    except (OSError, OverflowError):
        return False
