"""A folder of YAML files, read when they have changed and stand still.

A mount of Kubernetes changes by a swapped link, an editor by renaming or in place: what two
looks in a row find alike is taken, whatever way it came there. Names that begin with a dot are not
looked at, and folders that are links are not entered: so each file of such a mount is read once.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from midstage.contracts.errors import RefusedError
from midstage.specs.documents import of_yaml
from midstage.throttle.decide.imported.reading import Document, RuleError

MOST_FILES: Final = 1_000
MOST_BYTES: Final = 1024 * 1024
MOST_BYTES_TOGETHER: Final = 8 * 1024 * 1024
DEEPEST: Final = 8
MOST_ANCHORS: Final = 1_000
"""Of one file; what an alias repeats counts as if it were written out."""
_TEXTS: Final = ("domain", "key", "value", "name", "unit")
_PLAIN: Final = ("metadata",)

Files = Mapping[str, bytes]
"""What stands in each file, by its path in the folder, in order."""


class Folder:
    """The files of one folder; a file that has not changed is not parsed again."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self._path = path
        self._parsed: dict[str, tuple[bytes, object, Mapping[str, int]]] = {}

    def files(self) -> Files:
        """Every file as it is now; RuleError where there are too many, or too large ones."""
        found: dict[str, bytes] = {}
        together = 0
        for name in sorted(self._names(self._path, "", 0)):
            content = self._content(name)
            if content is None:
                continue
            together += len(content)
            if len(found) >= MOST_FILES or together > MOST_BYTES_TOGETHER:
                why = f"more than {MOST_FILES} files, or {MOST_BYTES_TOGETHER} bytes together"
                raise RuleError(why, file=name)
            found[name] = content
        return found

    def documents(self, files: Files) -> list[Document]:
        """What the files say; RuleError for one that is not YAML as a file of rules has it."""
        parsed = {name: self._document(name, content) for name, content in files.items()}
        self._parsed = parsed
        return [(name, value) for name, (_, value, _) in parsed.items()]

    def line(self, error: RuleError) -> int | None:
        """The line of what an error is about, where it is known."""
        _, _, lines = self._parsed.get(error.file, (b"", None, {}))
        path = error.path
        while path and path not in lines:
            path = path.rpartition(".")[0]
        return lines.get(path)

    def _names(self, folder: Path, above: str, depth: int) -> Iterator[str]:
        if depth > DEEPEST:
            raise RuleError(f"folders nest deeper than {DEEPEST} levels", file=above)
        try:
            entries = [each for each in os.scandir(folder) if not each.name.startswith(".")]
        except OSError as e:
            raise RuleError(f"the folder can't be read: {e.strerror}", file=above or ".") from e
        if len(entries) > 2 * MOST_FILES:
            raise RuleError(f"more than {MOST_FILES} files", file=above or ".")
        for entry in entries:
            name = f"{above}/{entry.name}" if above else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self._names(Path(entry.path), name, depth + 1)
            else:
                yield name

    def _content(self, name: str) -> bytes | None:
        """None for what is no file, as a link to a folder; waits for no pipe."""
        try:
            handle = os.open(self._path / name, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    return None
                content = file.read(MOST_BYTES + 1)
        except IsADirectoryError:
            return None
        except OSError as e:
            raise RuleError(f"the file can't be read: {e.strerror}", file=name) from e
        if len(content) > MOST_BYTES:
            raise RuleError(f"the file is larger than {MOST_BYTES} bytes", file=name)
        return content

    def _document(self, name: str, content: bytes) -> tuple[bytes, object, Mapping[str, int]]:
        before = self._parsed.get(name)
        if before is not None and before[0] == content:
            return before
        try:
            documents = list(
                of_yaml(content.decode(), texts=_TEXTS, plain=_PLAIN, anchors=MOST_ANCHORS)
            )
        except UnicodeDecodeError as e:
            raise RuleError("error loading config file: it is not UTF-8", file=name) from e
        except RefusedError as e:
            raise RuleError(f"error loading config file: {e}", file=name) from e
        if len(documents) > 1:
            raise RuleError("a file has one document; the others would not hold", file=name)
        if not documents:
            return content, {}, {}
        return content, documents[0].value, documents[0].lines


def digest(files: Files) -> bytes:
    """Two folders have the same only where their files are the same."""
    whole = hashlib.sha256()
    for name, content in files.items():
        for part in (name.encode(errors="surrogateescape"), content):
            whole.update(len(part).to_bytes(8, "big"))
            whole.update(part)
    return whole.digest()
