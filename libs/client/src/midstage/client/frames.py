"""Usage as a data frame: ``midstage.client.usage(...)``, as polars or pandas.

It is the service's own Arrow stream, so units are exact decimals and nothing depends on pages.
Needs the extra ``frames`` of this distribution.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal, overload

from midstage.client import api, times
from midstage.client.get_usage import PATH, Query, listed
from midstage.client.platform import HERE
from midstage.contracts.errors import RefusedError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

ARROW = "application/vnd.apache.arrow.stream"
Time = datetime | str | None


@overload
def usage(
    *,
    since: Time = None,
    until: Time = None,
    window: str | None = None,
    zone: str = "UTC",
    group_by: Iterable[str] = (),
    measures: Iterable[str] = (),
    where: Mapping[str, str | Iterable[str]] | None = None,
    order: Iterable[str] = (),
    frame: Literal["polars"] = "polars",
    directory: Path = HERE,
    server: str | None = None,
    token_file: Path | None = None,
) -> "pl.DataFrame": ...


@overload
def usage(
    *,
    since: Time = None,
    until: Time = None,
    window: str | None = None,
    zone: str = "UTC",
    group_by: Iterable[str] = (),
    measures: Iterable[str] = (),
    where: Mapping[str, str | Iterable[str]] | None = None,
    order: Iterable[str] = (),
    frame: Literal["pandas"],
    directory: Path = HERE,
    server: str | None = None,
    token_file: Path | None = None,
) -> "pd.DataFrame": ...


def usage(
    *,
    since: Time = None,
    until: Time = None,
    window: str | None = None,
    zone: str = "UTC",
    group_by: Iterable[str] = (),
    measures: Iterable[str] = (),
    where: Mapping[str, str | Iterable[str]] | None = None,
    order: Iterable[str] = (),
    frame: Literal["polars", "pandas"] = "polars",
    directory: Path = HERE,
    server: str | None = None,
    token_file: Path | None = None,
) -> "pl.DataFrame | pd.DataFrame":
    """Usage from ``since`` up to but without ``until``, one row a group, in one frame.

    Columns are ``window`` and ``window_end`` (with the zone), those of ``group_by``, and of the
    measures ``requests``, ``outcomes.<name>``, ``units.<name>`` (decimal, null where it was never
    counted), … Times are aware or like ``-7d``. RefusedError for a question that can't be meant,
    or without the extra ``frames``; UnavailableError where the service does not answer.
    """
    arrow, frames = _needed("pyarrow"), _needed(frame)
    now = datetime.now(UTC)
    wanted = [(name, one) for name, of in (where or {}).items() for one in _each(name, of)]
    query: Query = [
        *wanted,
        *_said("from", _time("since", since, now=now)),
        *_said("to", _time("until", until, now=now)),
        *_said("window", window),
        *_said("zone", zone),
        *_said("group_by", listed(group_by)),
        *_said("measures", listed(measures)),
        *_said("order", listed(order)),
    ]
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    content = stats.fetched(PATH, query, accept=ARROW)
    with arrow.ipc.open_stream(content) as stream:
        table = stream.read_all()
    found: pl.DataFrame | pd.DataFrame
    found = frames.from_arrow(table) if frame == "polars" else table.to_pandas()
    return found


def _needed(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as e:
        raise RefusedError(
            f"usage as a frame needs {name}; install it with: pip install 'midstage-client[frames]'"
        ) from e


def _time(name: str, time: Time, *, now: datetime) -> str | None:
    match time:
        case None:
            return None
        case str():
            return times.rfc3339(times.parsed(name, time, now=now))
        case _ if time.tzinfo is None:
            raise RefusedError(f"{name} {time.isoformat()} has no time zone")
        case _:
            return times.rfc3339(time)


def _each(name: str, values: str | Iterable[str]) -> Iterable[str]:
    """The values, of which there is one at least: to be among none would not be told."""
    found = [values] if isinstance(values, str) else list(values)
    if not found:
        raise RefusedError(f"where: {name} has no value; give one, or leave it out")
    return found


def _said(name: str, value: str | None) -> Query:
    return [(name, value)] if value else []
