"""What docstrings say of fields: schemas and explanations are written from it, and nowhere else.

A docstring speaks of a field in each part between full stops and semicolons that names it in double
backticks, as this one would speak of ``it``; parts that begin with the name and a colon are enough.
"""

import re
from collections.abc import Iterator, Sequence
from inspect import cleandoc

_ENDS = re.compile(r"(?<=[.;])\s+")
_NAMED = re.compile(r"``([a-zA-Z_][a-zA-Z_0-9]*)``")


def about(of: type) -> str:
    """The first paragraph of the docstring in one line, without marks."""
    return _plain(" ".join(cleandoc(of.__doc__ or "").partition("\n\n")[0].split()))


def fields(of: type) -> dict[str, str]:
    """What is said of each field that is spoken of, by its name."""
    told: dict[str, list[str]] = {}
    for part in _parts(of):
        for name in _NAMED.findall(part):
            told.setdefault(name, []).append(part)
    return {name: _of(name, parts) for name, parts in told.items()}


def _of(name: str, parts: Sequence[str]) -> str:
    """What begins with the name and a colon alone, where there is such a part."""
    begin = f"``{name}``: "
    own = [part.removeprefix(begin) for part in parts if part.startswith(begin)]
    return _plain("; ".join(dict.fromkeys(own or parts)))


def _parts(of: type) -> Iterator[str]:
    text = " ".join(cleandoc(of.__doc__ or "").split())
    return (part.rstrip(".;") for part in _ENDS.split(text) if part)


def _plain(text: str) -> str:
    return text.replace("``", "`")
