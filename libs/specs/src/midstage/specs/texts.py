"""The bytes of a file as text, or a refusal that says what they are instead."""

from midstage.contracts.errors import RefusedError


def text(raw: bytes) -> str:
    """UTF-8 without a byte order mark; RefusedError for anything else, and for NUL."""
    try:
        found = raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as e:
        raise RefusedError(f"it is not UTF-8 text: byte {e.start} is {raw[e.start]:#04x}") from e
    if "\0" in found:
        line = found[: found.index("\0")].count("\n") + 1
        raise RefusedError(f"it is no text: NUL stands in line {line}")
    return found
