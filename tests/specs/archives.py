"""Archives as tests need them: honest ones, and by hand what no honest program writes."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping

CHAT = b"""\
apiVersion: midstage.dev/v1
kind: Application
metadata: {name: chat}
spec:
  command: [serve]
  checks:
    - name: warm
      script_file: ../scripts/warm.sh
"""
OCR = b"name: ocr\nimage: ocr:1\n"
WARM = b"test -e /models/chat\n"
FILES = {"apps/chat.yaml": CHAT, "apps/ocr.yml": OCR, "scripts/warm.sh": WARM}
"""A bundle as a team would have it."""


def tar(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """The files as Python's own tarfile packs them, not gzipped."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return made.getvalue()


def tgz(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """The same, gzipped."""
    return gzip.compress(tar(files, form), mtime=0)


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The files as Python's own zipfile packs them."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as packed:
        for name, content in files.items():
            packed.writestr(zipfile.ZipInfo(name), content, method)
    return made.getvalue()


def entry(
    name: bytes,
    content: bytes = b"",
    kind: bytes = b"0",
    *,
    link: bytes = b"",
    size: bytes | None = None,
) -> bytes:
    """One entry of a tar archive, its header by hand and its check sum right."""
    said = b"%011o\0" % len(content) if size is None else size
    head = bytearray(512)
    head[:100] = name[:100].ljust(100, b"\0")
    head[100:124] = b"".join(b"%07o\0" % number for number in (0o644, 0, 0))
    head[124:136] = said.ljust(12, b"\0")
    head[136:148] = b"00000000000\0"
    head[148:156] = b" " * 8
    head[156:157] = kind
    head[157:257] = link.ljust(100, b"\0")
    head[257:265] = b"ustar\x0000"
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + content + bytes(-len(content) % 512)


def tar_of(*entries: bytes) -> bytes:
    """A gzipped tar archive of these entries, with its end."""
    return gzip.compress(b"".join(entries) + bytes(1024), mtime=0)


def pax(**fields: str) -> bytes:
    """The content of a pax header."""
    records = b""
    for key, value in fields.items():
        rest = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length = len(str(length)) + len(rest)
        records += str(length).encode() + rest
    return records


def zip_of(
    *files: tuple[bytes, bytes],
    flags: int = 0,
    method: int = 8,
    attributes: int = 0,
    said_size: int | None = None,
    listed_name: bytes | None = None,
    all_at_first: bool = False,
    front: bytes = b"",
) -> bytes:
    """A zip archive by hand, every file with these oddities."""
    made = bytearray(front)
    listed = b""
    for name, content in files:
        packed = _deflated(content) if method == 8 else content
        size = len(content) if said_size is None else said_size
        fields = (flags, method, 0, 0, zlib.crc32(content), len(packed), size)
        begin = len(front) if all_at_first else len(made)
        if not all_at_first or len(made) == len(front):
            made += struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, *fields, len(name), 0)
            made += name + packed
        told = name if listed_name is None else listed_name
        listed += struct.pack(
            "<4s6H3I5H2I", b"PK\x01\x02", 3 << 8, 20, *fields, len(told), *[0] * 4,
            attributes << 16, begin,
        ) + told  # fmt: skip
    count = len(files)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(listed), len(made), 0)
    return bytes(made) + listed + end


def _deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()
