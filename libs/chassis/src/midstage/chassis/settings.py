"""Settings are parsed, not truthy: each reader takes the environment and a name, and fails by name.

A blank value counts as not set. Secrets live in files of mode 0600, never in the environment.
"""

import math
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from midstage.contracts.errors import MidstageError

N = TypeVar("N", int, float)

_WHOLE = re.compile(r"[+-]?[0-9]+")
_SECRET = re.compile(r"[!-~]+")
_SECRET_BYTES = 32
_OTHERS = 0o077


class SettingError(MidstageError):
    """A setting is missing or wrong; the text names it and what to do."""


def text(env: Mapping[str, str], name: str, *, default: str | None = None) -> str:
    """The value without surrounding blanks; SettingError when it is not set and has no default."""
    value = env.get(name, "").strip()
    if value:
        return value
    if default is None:
        raise SettingError(f"{name} is not set")
    return default


def whole(
    env: Mapping[str, str],
    name: str,
    *,
    default: int | None = None,
    least: int | None = None,
    most: int | None = None,
) -> int:
    """A whole number between ``least`` and ``most``; the default is believed."""
    value = env.get(name, "").strip()
    if not value and default is not None:
        return default
    given = text(env, name)
    if not _WHOLE.fullmatch(given):
        raise SettingError(f"{name}={given!r} is not a whole number")
    return _bounded(name, int(given), least=least, most=most)


def number(
    env: Mapping[str, str],
    name: str,
    *,
    default: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> float:
    """A finite number between ``least`` and ``most``; the default is believed."""
    value = env.get(name, "").strip()
    if not value and default is not None:
        return default
    given = text(env, name)
    try:
        parsed = float(given)
    except ValueError:
        parsed = math.nan
    if not math.isfinite(parsed):
        raise SettingError(f"{name}={given!r} is not a number")
    return _bounded(name, parsed, least=least, most=most)


def flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    """True for 1, true, yes, on; False for 0, false, no, off; SettingError for anything else."""
    match env.get(name, "").strip().lower():
        case "":
            return default
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off":
            return False
        case other:
            raise SettingError(f"{name}={other!r} is neither true nor false")


def path(env: Mapping[str, str], name: str, *, default: Path | None = None) -> Path:
    """A path, as it was given; whether something is there is the caller's question."""
    value = env.get(name, "").strip()
    if not value and default is not None:
        return default
    return Path(text(env, name))


def secret(file: Path) -> str:
    """What a token file holds; SettingError when it is missing, empty or open to others."""
    try:
        mode = file.stat().st_mode
        content = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise SettingError(f"the secret in {file} can't be read: {e}") from e
    if mode & _OTHERS:
        raise SettingError(f"{file} is open to others; run: chmod 600 {file}")
    if not _SECRET.fullmatch(content):
        raise SettingError(f"{file} does not hold one word of printable ASCII")
    return content


def ensure_secret(file: Path) -> str:
    """The secret in ``file``, made at random (mode 0600) where there is none.

    The file appears whole or not at all, and of two that make it at once both get the first one's.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as out:
                out.write(secrets.token_urlsafe(_SECRET_BYTES) + "\n")
                out.flush()
                os.fsync(out.fileno())
            _publish(draft, file)
        finally:
            draft.unlink(missing_ok=True)
    return secret(file)


def _publish(draft: Path, file: Path) -> None:
    try:
        os.link(draft, file)
    except FileExistsError:
        return


def _bounded(name: str, value: N, *, least: N | None, most: N | None) -> N:
    if least is not None and value < least:
        raise SettingError(f"{name}={value} is below {least}")
    if most is not None and value > most:
        raise SettingError(f"{name}={value} is above {most}")
    return value
