"""How rows are shown: a table for people, JSON and YAML for programs.

A table is plain text, one line a row, never wrapped or cut, with or without a terminal; numbers
stand to the right. What a terminal would obey in foreign words is shown as escapes, in every form.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final

import msgspec
import typer
import yaml
from rich.cells import cell_len

from midstage.client import api

Row = Mapping[str, object]

GAP = "   "
NOTHING = "-"
EACH = ".*"
FRACTION = re.compile(r"(?<=^....-..-..T..:..:..)\.[0-9]+(?=(Z|[+-]..:..)$)")
EMPTY: Final[tuple[object, ...]] = (None, "", {})


class Output(StrEnum):
    """The form that data is printed in."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Output, typer.Option("-o", "--output", help="How data is printed.")]


def show(answer: bytes, *, rows: str, columns: Sequence[str], output: Output) -> str:
    """A service's answer, whose list ``rows`` is the table; JSON and YAML keep all it said."""
    document = _document(answer)
    match output:
        case Output.JSON:
            return _json(document)
        case Output.YAML:
            return _yaml(document)
        case Output.TABLE:
            listed = document.get(rows)
            found = listed if isinstance(listed, list) else []
            return table([row for row in found if isinstance(row, dict)], columns)


def table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The rows under upper-case titles; ``units.*`` is one column for each name in ``units``.

    A column that no row fills is left out, except the first; without rows there is nothing. Times
    are to the second.
    """
    if not rows:
        return ""
    named = [name for column in columns for name in _expanded(rows, column)]
    filled = [name for name in named if any(_value(row, name) not in EMPTY for row in rows)]
    titles = _titles(filled or columns[:1])
    body = [_column(rows, name, title) for name, title in titles.items()]
    return "\n".join(GAP.join(cells).rstrip() for cells in zip(*body, strict=True))


def _column(rows: Sequence[Row], name: str, title: str) -> list[str]:
    values = [_value(row, name) for row in rows]
    cells = [title, *(cell(value) for value in values)]
    width = max(cell_len(text) for text in cells)
    right = all(value is None or _is_number(value) for value in values)
    return [_padded(text, width, right=right) for text in cells]


def _titles(names: Sequence[str]) -> Mapping[str, str]:
    """Each column's title: its last field, and all of it where two would be called the same."""
    short = {name: name.partition(".")[2] or name for name in names}
    alike = Counter(short.values())
    return {
        name: _title(name.replace(".", " ", 1) if alike[short[name]] > 1 else short[name])
        for name in names
    }


def _title(name: str) -> str:
    return cell(name.replace("_", " ").upper())


def cell(value: object) -> str:
    """One value as a cell: unknown ``-``, ranges ``1-3,7``, fields ``a=1,b=2``, flags yes, no."""
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case list():
            return ",".join(_range(item) for item in value) or "none"
        case dict():
            return ",".join(f"{cell(name)}={cell(each)}" for name, each in value.items()) or "none"
        case float():
            return f"{value:.15g}"
        case _:
            return printable(FRACTION.sub("", str(value)))


def _range(item: object) -> str:
    match item:
        case [first, last]:
            return cell(first) if first == last else f"{cell(first)}-{cell(last)}"
        case _:
            return cell(item)


def printable(text: str) -> str:
    """What a terminal would obey or hide, as escapes."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape", errors="backslashreplace").decode()


def _json(document: object) -> str:
    """Indented; its strings hold nothing that a terminal would obey, and say the same."""
    lines = msgspec.json.format(msgspec.json.encode(document), indent=2).decode().split("\n")
    return "\n".join(line if line.isprintable() else _quoted(line) for line in lines)


def _yaml(document: object) -> str:
    """Likewise; with an escape for every sign that is not ASCII only where one is needed."""
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip("\n")
    if text.replace("\n", "").isprintable():
        return text
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=False).rstrip("\n")


def _quoted(line: str) -> str:
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in line)


def _padded(text: str, width: int, *, right: bool) -> str:
    blank = " " * (width - cell_len(text))
    return blank + text if right else text + blank


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _expanded(rows: Sequence[Row], column: str) -> Sequence[str]:
    if not column.endswith(EACH):
        return [column]
    field = column.removesuffix(EACH)
    groups = [row.get(field) for row in rows]
    names = {str(name) for group in groups if isinstance(group, dict) for name in group}
    return [f"{field}.{name}" for name in sorted(names)]


def _value(row: Row, name: str) -> object:
    field, dot, rest = name.partition(".")
    value = row.get(field)
    if not dot:
        return value
    return value.get(rest, 0) if isinstance(value, dict) else None


def _document(answer: bytes) -> dict[str, object]:
    return api.read(answer, dict[str, object], whose="the service's")
