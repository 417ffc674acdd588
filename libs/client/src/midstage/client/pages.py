"""Lists of control that come in pages: which rows are asked for, and all of them as one answer."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
import typer

from midstage.client import api
from midstage.client.inventory import read

Labels = Annotated[
    str | None,
    typer.Option("-l", "--labels", help="Only with these: key=value, key!=value, key, !key."),
]
Search = Annotated[
    str | None,
    typer.Option("-q", "--search", help="Only with this in the name, a label or the reason."),
]
App = Annotated[str | None, typer.Option(help="Only this application's.")]
ClusterName = Annotated[str | None, typer.Option("--cluster", help="Only in this cluster.")]
Namespace = Annotated[str | None, typer.Option("-n", "--namespace", help="Only in this one.")]
Limit = Annotated[int | None, typer.Option(min=1, help="So many rows at most; else all.")]
_PAGE = 1000


class _Cursor(msgspec.Struct):
    next: str | None = None


def whole(
    control: api.Service,
    path: str,
    rows: str,
    query: Mapping[str, str | None],
    *,
    limit: int | None = None,
) -> bytes:
    """All pages as one answer; what else a page says is that of the first one."""
    found: list[msgspec.Raw] = []
    said: dict[str, msgspec.Raw] = {}
    after: str | None = None
    while limit is None or len(found) < limit:
        size = _PAGE if limit is None else min(_PAGE, limit - len(found))
        asked = {**query, "limit": str(size), "after": after}
        answer = control.ask(path, asked)
        page = read(answer, dict[str, msgspec.Raw])
        found += read(page.pop(rows, b"[]"), list[msgspec.Raw])
        said = said or {name: value for name, value in page.items() if name != "next"}
        after = read(answer, _Cursor).next
        if after is None:
            break
    return msgspec.json.encode({rows: found, **said})
