"""The plain files of a zip archive, read strictly: what is unusual is refused, not interpreted.

The format is PKWARE's APPNOTE 6.3. The directory at the end and the headers in front of the files
have to say the same, the files to lie one behind the other without a gap, and their content to be
exactly as long as they say. No encryption, no zip64, nothing but stored and deflated.
"""

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from midstage.contracts.errors import RefusedError
from midstage.specs import paths
from midstage.specs.inflating import inflated
from midstage.specs.tarred import Entry

_END = struct.Struct("<4s4H2IH")
_LISTED = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_LONGEST_COMMENT = 65_535
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_SIZES_BEHIND = 0x0008
_UTF8 = 0x0800
_STORED, _DEFLATED = 0, 8
_UNIX = (3, 19)
_DOS_FOLDER = 0x10
_ZIP64 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A file as the directory at the end describes it."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    check: int
    packed: int
    size: int
    begin: int
    is_folder: bool


def entries(raw: bytes, *, largest: int, most: int) -> Iterator[Entry]:
    """Each file and folder in the order they lie; RefusedError for what is anything else."""
    listed, directory = _directory(raw)
    left = most
    end = 0
    for each in sorted(listed, key=lambda one: one.begin):
        if each.begin != end:
            raise RefusedError(f"{paths.shown(each.name)} overlaps another file, or a gap is there")
        content, end = _content(
            raw[:directory], each, largest=min(largest, left), largest_of_one=largest
        )
        left -= len(content)
        if each.is_folder and content:
            raise RefusedError(f"the folder {paths.shown(each.name)} has content")
        yield Entry(name=each.name, content=None if each.is_folder else content)
    if end != directory:
        raise RefusedError("something stands between the files and the directory of the archive")


def _directory(raw: bytes) -> tuple[list[_Listed], int]:
    """What the archive lists, and where its directory begins."""
    at = raw.rfind(b"PK\x05\x06", max(0, len(raw) - _END.size - _LONGEST_COMMENT))
    if at < 0 or len(raw) < at + _END.size:
        raise RefusedError("it holds no zip archive: its directory is missing")
    _, disk, first, here, count, size, begin, comment = _END.unpack_from(raw, at)
    if disk or first or here != count:
        raise RefusedError("the zip archive is one of several parts")
    if _ZIP64 in (size, begin) or begin + size != at or at + _END.size + comment != len(raw):
        raise RefusedError("the zip archive is broken: its directory is not where it says")
    found: list[_Listed] = []
    where = begin
    for _ in range(count):
        one, where = _listed(raw[:at], where)
        found.append(one)
    if where != at:
        raise RefusedError("the zip archive is broken: its directory is longer than it says")
    return found, begin


def _listed(raw: bytes, at: int) -> tuple[_Listed, int]:
    if len(raw) < at + _LISTED.size or raw[at : at + 4] != b"PK\x01\x02":
        raise RefusedError("the zip archive is broken: its directory ends too early")
    fields = _LISTED.unpack_from(raw, at)
    _, made_by, _, flags, method, _, _, check, packed, size = fields[:10]
    name_bytes, extra_bytes, comment_bytes, disk, _, attributes, begin = fields[10:]
    raw_name = raw[at + _LISTED.size : at + _LISTED.size + name_bytes]
    name = _text(raw_name, flags)
    if disk or _ZIP64 in (packed, size, begin):
        raise RefusedError(f"{paths.shown(name)} is of a size or a place that is not taken")
    if flags & _ENCRYPTED:
        raise RefusedError(f"{paths.shown(name)} is encrypted")
    if method not in (_STORED, _DEFLATED):
        raise RefusedError(f"{paths.shown(name)} is packed by method {method}, not by deflate")
    one = _Listed(
        name=name,
        raw_name=raw_name,
        flags=flags,
        method=method,
        check=check,
        packed=packed,
        size=size,
        begin=begin,
        is_folder=_is_folder(name, made_by >> 8, attributes),
    )
    return one, at + _LISTED.size + name_bytes + extra_bytes + comment_bytes


def _is_folder(name: str, system: int, attributes: int) -> bool:
    """Whether it is a folder and no file; RefusedError where it is neither, or both."""
    mode = attributes >> 16
    kind = stat.S_IFMT(mode) if system in _UNIX else 0
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "a device or the like"
        raise RefusedError(f"{paths.shown(name)} is {what}; only files and folders are taken")
    says = kind == stat.S_IFDIR or (kind == 0 and bool(attributes & _DOS_FOLDER))
    if says and not name.endswith("/"):
        raise RefusedError(f"{paths.shown(name)} is a folder with the name of a file")
    if name.endswith("/") and kind == stat.S_IFREG:
        raise RefusedError(f"{paths.shown(name)} is a file with the name of a folder")
    return name.endswith("/")


def _content(raw: bytes, one: _Listed, *, largest: int, largest_of_one: int) -> tuple[bytes, int]:
    """The file's content, and where it ends; ``raw`` up to the directory."""
    told = paths.shown(one.name)
    at = one.begin
    if len(raw) < at + _LOCAL.size or raw[at : at + 4] != b"PK\x03\x04":
        raise RefusedError(f"{told} is not where the zip archive says")
    _, _, flags, method, _, _, *sizes, name_bytes, extra_bytes = _LOCAL.unpack_from(raw, at)
    at += _LOCAL.size
    told_behind = bool(flags & _SIZES_BEHIND)
    same = sizes == [one.check, one.packed, one.size] or (told_behind and sizes[1:] == [0, 0])
    named = raw[at : at + name_bytes] == one.raw_name
    if not same or not named or (flags, method) != (one.flags, one.method):
        raise RefusedError(f"{told}: its header and the directory of the archive disagree")
    at += name_bytes + extra_bytes
    packed_content = raw[at : at + one.packed]
    if len(packed_content) < one.packed:
        raise RefusedError(f"{told} ends too early")
    if one.size > largest:
        raise RefusedError(
            f"{told} is larger than {largest_of_one} bytes, or all files are", status=413
        )
    content = packed_content
    if one.method == _DEFLATED:
        content = inflated(packed_content, most=one.size, what=told)
    if len(content) != one.size or zlib.crc32(content) != one.check:
        raise RefusedError(f"{told} is not what the archive says: its size or check sum differs")
    return content, _behind(raw, at + one.packed, one, told_behind=told_behind)


def _behind(raw: bytes, at: int, one: _Listed, *, told_behind: bool) -> int:
    """Where the next file begins: behind a descriptor, where there is one."""
    if not told_behind:
        return at
    plain = struct.pack("<3I", one.check, one.packed, one.size)
    for descriptor in (b"PK\x07\x08" + plain, plain):
        if raw.startswith(descriptor, at):
            return at + len(descriptor)
    raise RefusedError(f"{paths.shown(one.name)}: what stands behind it contradicts the directory")


def _text(raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError as e:
        raise RefusedError(f"the name {raw[:100]!r} is not UTF-8, or does not say so") from e
