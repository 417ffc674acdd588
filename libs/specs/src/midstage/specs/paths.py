"""Names inside a bundle or a folder: relative, plain, and the same on every machine.

A name is refused where it could lead outside, or where two names could mean one file: on another
file system, in another spelling, by a link.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from midstage.contracts.errors import RefusedError

LONGEST = 512
DEEPEST = 16

_DRIVE = re.compile(r"[A-Za-z]:")
_ENDINGS = (".yaml", ".yml", ".json")


def plain(name: str) -> str:
    """The name without ``./`` and a closing ``/``; empty for the folder itself.

    RefusedError for every name that is not a plain relative one.
    """
    told = f"the name {shown(name)}"
    for reason, holds in _objections(name):
        if holds:
            raise RefusedError(f"{told} {reason}")
    parts = [part for part in name.removesuffix("/").split("/") if part != "."]
    if parts == [""]:
        return ""
    for reason, holds in _objections_to(parts):
        if holds:
            raise RefusedError(f"{told} {reason}")
    return "/".join(parts)


def _objections(name: str) -> Iterator[tuple[str, bool]]:
    yield f"is longer than {LONGEST} bytes", len(name.encode(errors="surrogatepass")) > LONGEST
    yield "has signs that can't be printed", not name.isprintable()
    yield "has a backslash; write / between folders", "\\" in name
    yield "is absolute; names begin in the bundle", _is_absolute(name)


def _objections_to(parts: Sequence[str]) -> Iterator[tuple[str, bool]]:
    yield "leads outside with ..", ".." in parts
    yield "has an empty part", "" in parts
    yield (
        "has a part that some systems would cut",
        any(part != part.strip() or part.endswith(".") for part in parts),
    )
    yield f"has more than {DEEPEST} folders", len(parts) > DEEPEST


def _is_absolute(name: str) -> bool:
    return name.startswith("/") or _DRIVE.match(name) is not None


def beside(spec: str, script: str) -> str:
    """The name of the file that ``script`` means in ``spec``; RefusedError where it leads out."""
    if "\\" in script or _is_absolute(script):
        raise RefusedError(f"{shown(script)} is not relative to the spec")
    parts = spec.split("/")[:-1]
    for part in script.split("/"):
        match part:
            case "..":
                if not parts:
                    raise RefusedError(f"{shown(script)} leads out of the folder")
                parts.pop()
            case "" | ".":
                continue
            case _:
                parts.append(part)
    return plain("/".join(parts))


def sameness(name: str) -> str:
    """Equal for names that some file system could take for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_apart(names: Iterable[str]) -> None:
    """RefusedError where two names could be one file, or one is the other's folder."""
    seen: dict[str, str] = {}
    for name in names:
        same = sameness(name)
        if same in seen:
            raise RefusedError(f"the names {shown(seen[same])} and {shown(name)} could be one file")
        seen[same] = name
    for same, name in seen.items():
        parts = same.split("/")
        for length in range(1, len(parts)):
            folder = "/".join(parts[:length])
            if folder in seen:
                raise RefusedError(f"{shown(seen[folder])} is a file and the folder of {name!r}")


def is_spec(name: str) -> bool:
    """Whether a file of this name is read as a spec; hidden files are not."""
    parts = name.split("/")
    return not any(part.startswith(".") for part in parts) and name.endswith(_ENDINGS)


def shown(name: str) -> str:
    """The name as a message says it: in quotes, escaped, not endless."""
    told = ascii(name) if not name.isprintable() else repr(name)
    return told if len(told) <= 120 else f"{told[:100]}…'"
