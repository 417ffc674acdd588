"""What the shards say at the end: how each stands, a recount of every row, a period's statement.

Asked over HTTP of any shard, which answers for all of them.
"""

import json
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from typing import Any

from midstage.local.ports import LOOPBACK
from tests.crash.client import TOKEN

NAME = "2026-crash"
_AT_ONCE_S = 2.0
_WITHIN_S = 120.0

Sum = tuple[str, str, str, str]
"""Customer, application, kind, name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recounted:
    """Rows that were counted again, by days and as a whole, and where the ledgers differ."""

    rows: int
    whole: int
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A statement: rows by source, sums, and whether raw rows make the same bytes again."""

    rows: Counter[str]
    sums: Counter[Sum]
    remade: bool


class NotSaidError(RuntimeError):
    """The shards did not answer, or refused; with their own words."""


def status(port: int) -> tuple[int, int | None] | None:
    """One shard's rows and the records that it has not counted yet; None: no answer."""
    try:
        said = _posted(port, "/v1/shard/standing", None, within_s=_AT_ONCE_S)
    except NotSaidError:
        return None
    return said["recorded"]["rows"], said["lag_records"]


def recounted(port: int) -> Recounted:
    """A recount of all shards, day by day and as a whole."""
    rows, after = 0, "0001-01-01"
    found: list[str] = []
    while after:
        day = _posted(port, f"/v1/recount/day?after={after}", None)
        rows, after = rows + day["rows"], day["next"] or ""
        found += _differences(day)
    whole = _posted(port, "/v1/recount/whole", None)
    return Recounted(rows=rows, whole=whole["rows"], differences=(*found, *_differences(whole)))


def stated(port: int, *, since: datetime, until: datetime) -> Stated:
    """Close the period (again, where it is closed) and read its statement."""
    times = {"from": since.isoformat(), "to": until.isoformat()}
    _posted(port, f"/v1/periods/{NAME}/close", times)
    kept = _asked(port, f"/v1/periods/{NAME}/statement")
    again = _asked(port, f"/v1/periods/{NAME}/statement?from_rows=true")
    said = json.loads(kept)
    return Stated(
        rows=Counter({one["source"]: int(one["rows"]) for one in said["sources"]}),
        sums=Counter(
            {
                (one["customer"], one["app"], one["kind"], one["name"]): int(one["amount"])
                for one in said["lines"]
            }
        ),
        remade=kept == again,
    )


def _differences(said: dict[str, Any]) -> list[str]:
    return [f"{one['table']} {one['cell']}" for one in said["first"]][: said["differences"]]


def _posted(port: int, path: str, body: object, *, within_s: float = _WITHIN_S) -> Any:
    data = json.dumps(body).encode()
    return json.loads(_asked(port, path, data=data, within_s=within_s))


def _asked(
    port: int, path: str, *, data: bytes | None = None, within_s: float = _WITHIN_S
) -> bytes:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    asked = urllib.request.Request(f"http://{LOOPBACK}:{port}{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=within_s) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        raise NotSaidError(f"{path}: {error.read().decode(errors='replace')}") from error
    except (OSError, HTTPException) as error:  # also one that dies in the midst of its answer
        raise NotSaidError(f"{path}: {error}") from error
