"""The plain files of a tar archive, read strictly: what is unusual is refused, not interpreted.

The format is POSIX.1-2001 (ustar with pax headers) and GNU's long names:
https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html. Only files and folders are
taken: no links, devices, sparse files, sizes in another header, or one header after another.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from midstage.contracts.errors import RefusedError
from midstage.specs import paths

_BLOCK = 512
_LONGEST_HEADER = 8 * 1024
_ZEROS = bytes(_BLOCK)
_FILE, _OLD_FILE, _FOLDER = b"0", b"\0", b"5"
_PAX, _PAX_GLOBAL, _LONG_NAME = b"x", b"g", b"L"
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a FIFO",
    b"S": "a sparse file",
    b"K": "a link with a long name",
}
_HARMFUL = ("GNU.sparse", "linkpath", "size", "hdrcharset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file or a folder (``content`` None) as the archive names it."""

    name: str
    content: bytes | None


def entries(raw: bytes, *, largest: int) -> Iterator[Entry]:
    """Each file and folder in order; RefusedError for what is no such archive, or anything else."""
    at = 0
    longer: str | None = None
    while True:
        head = raw[at : at + _BLOCK]
        if len(head) < _BLOCK:
            what = "the tar archive" if at else "it holds no tar archive, or one that"
            raise RefusedError(f"{what} ends too early")
        if head == _ZEROS:
            break
        _check_sum(head, at)
        kind, size = head[156:157], _octal(head[124:136], "size")
        content = raw[at + _BLOCK : at + _BLOCK + size]
        if len(content) < size:
            raise RefusedError("the tar archive ends too early")
        at += _BLOCK + (size + _BLOCK - 1) // _BLOCK * _BLOCK
        if kind in (_PAX, _PAX_GLOBAL, _LONG_NAME):
            longer = _longer(kind, content, longer)
            continue
        name = longer or _name(head)
        longer = None
        yield _entry(kind, name, content, largest)
    if longer is not None:
        raise RefusedError("a header of the tar archive belongs to no file")
    if raw[at:].strip(b"\0"):
        raise RefusedError("something stands behind the end of the tar archive")


def _entry(kind: bytes, name: str, content: bytes, largest: int) -> Entry:
    if kind == _FOLDER or (kind == _OLD_FILE and name.endswith("/")):
        if content:
            raise RefusedError(f"the folder {paths.shown(name)} has content")
        return Entry(name=name, content=None)
    if kind not in (_FILE, _OLD_FILE):
        what = _KINDS.get(kind, f"of the unknown kind {kind!r}")
        raise RefusedError(f"{paths.shown(name)} is {what}; only files and folders are taken")
    if len(content) > largest:
        raise RefusedError(f"{paths.shown(name)} is larger than {largest} bytes", status=413)
    return Entry(name=name, content=content)


def _longer(kind: bytes, content: bytes, before: str | None) -> str | None:
    """The name that a header in front of a file gives it."""
    if len(content) > _LONGEST_HEADER:
        raise RefusedError(f"a header of the tar archive has more than {_LONGEST_HEADER} bytes")
    if before is not None:
        raise RefusedError("a name stands twice in the tar archive")
    if kind == _LONG_NAME:
        return _text(content.removesuffix(b"\0"))
    fields = dict(_fields(content))
    for field in fields:
        if field.startswith(_HARMFUL):
            raise RefusedError(f"the tar archive has the header {paths.shown(field)}")
    path = fields.get("path")
    if kind == _PAX_GLOBAL and path is not None:
        raise RefusedError("the tar archive gives one name to all files")
    return path


def _fields(content: bytes) -> Iterator[tuple[str, str]]:
    """The records ``<length> <key>=<value>\\n`` of a pax header."""
    left = content
    while left:
        digits, space, _ = left.partition(b" ")
        if not space or not digits.isdigit() or len(digits) > 5:
            raise RefusedError("a header of the tar archive is broken")
        record = left[: int(digits)]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if len(record) < int(digits) or not equals or record[-1:] != b"\n":
            raise RefusedError("a header of the tar archive is broken")
        left = left[len(record) :]
        text = _text(value) if key == b"path" else ""
        yield _text(key), text


def _name(head: bytes) -> str:
    name = head[:100].partition(b"\0")[0]
    prefix = head[345:500].partition(b"\0")[0] if head[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as e:
        raise RefusedError(f"the name {raw[:100]!r} is not UTF-8") from e


def _check_sum(head: bytes, at: int) -> None:
    said = _octal(head[148:156], "check sum")
    if said != sum(head[:148]) + 8 * 32 + sum(head[156:]):
        what = "it holds no tar archive" if at == 0 else "the tar archive is broken"
        raise RefusedError(f"{what}: the check sum of the header at byte {at} is wrong")


def _octal(raw: bytes, what: str) -> int:
    digits = raw.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise RefusedError(f"it holds no tar archive: {raw!r} is no {what}")
    return int(digits, 8)
