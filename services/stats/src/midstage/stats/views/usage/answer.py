"""The answer to a question: its groups in order, page by page, or whole as columns.

A page is a piece of one answer that stays as it is while data comes in. Columns are those of the
whole answer, whatever the page: an export never lacks one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from zoneinfo import ZoneInfo

from midstage.contracts import sketch
from midstage.contracts.requests import Outcome
from midstage.contracts.units import units
from midstage.stats.views.usage.parts import Group, Standing
from midstage.stats.views.usage.question import (
    QUANTILES,
    Dimension,
    Measure,
    Question,
    Timing,
    Window,
)
from midstage.stats.views.usage.windows import ended, moment

Cell = str | int | float | bool | datetime | None
_Put = Callable[[dict[str, object], Group], None]


class Kind(StrEnum):
    """What a column holds; units are whole micro-units, to be shown with six decimals."""

    TIME = "time"
    TEXT = "text"
    WHOLE = "whole"
    FLAG = "flag"
    UNITS = "units"
    REAL = "real"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of an export."""

    name: str
    kind: Kind
    values: Sequence[Cell]
    zone: str = "UTC"


def ordered(question: Question, groups: Iterable[Group]) -> list[Group]:
    """The groups as the question orders them; by their keys where it does not say."""
    found = sorted(groups, key=lambda group: tuple(_sortable(value) for value in group.key))
    for one in reversed(question.order):
        figure = _figure(question, one.by)
        found.sort(key=lambda group, of=figure: _sortable(of(group)), reverse=one.falling)  # type: ignore[misc]  # mypy can't infer a lambda's default
    return found


def shown(question: Question, groups: Iterable[Group]) -> list[dict[str, object]]:
    """The groups as JSON has them: times with the zone's offset, units exact in ``micros``."""
    puts = [_put(question, name) for name in question.wanted.columns]
    return [_row(question, group, puts) for group in groups]


def page(
    question: Question, groups: Sequence[Group], standing: Standing, *, following: str | None
) -> dict[str, object]:
    """One page with what it rests on; ``next`` is the ``after`` of the following one, or None."""
    return {
        "usage": shown(question, groups),
        "next": following,
        "from": question.since,
        "to": question.until,
        "window": question.window,
        "zone": question.zone,
        "complete_until": standing.complete_until,
        "versions": {str(shard): at for shard, at in sorted(standing.versions.items())},
        "positions": dict(sorted(standing.positions.items())),
    }


def columns(question: Question, groups: Sequence[Group]) -> list[Column]:
    """Every column of the answer, in the order of the key and of the measures as asked."""
    found = [_column(question, name, groups) for name in question.group_by]
    if question.window:
        found[:0] = _times(question, question.window, groups)
    for name in question.wanted.columns:
        found += _measured(question, name, groups)
    return found


def _row(question: Question, group: Group, puts: Sequence[_Put]) -> dict[str, object]:
    row: dict[str, object] = {}
    if question.window:
        begin = moment(int(group.key[0] or 0))
        row["window"] = _at(begin, question.zone)
        row["window_end"] = _at(ended(begin, question.window, question.zone), question.zone)
    keys = group.key[len(group.key) - len(question.group_by) :]
    row.update(zip(question.group_by, keys, strict=True))
    for put in puts:
        put(row, group)
    return row


def _put(question: Question, name: str) -> _Put:
    """What puts the measure ``name`` of a group into its row."""
    field, _, part = name.partition(".")
    match field:
        case Measure.OUTCOMES:
            return partial(_put_outcomes, part)
        case Measure.UNITS:
            return partial(_put_units, part)
        case Timing.LATENCY | Timing.FIRST_TOKEN:
            return partial(_put_quantile, Timing(field), part)
        case _:
            figure = _figure(question, name)
            return lambda row, group: row.update({name: figure(group)})


def _put_outcomes(part: str, row: dict[str, object], group: Group) -> None:
    counts = {part: group.outcomes.get(part, 0)} if part else group.outcomes
    _into(row, "outcomes", counts)


def _put_units(part: str, row: dict[str, object], group: Group) -> None:
    if part:
        micros = {part: group.micros[part]} if part in group.micros else {}
    else:
        micros = dict(sorted(group.micros.items()))
    _into(row, "units", {unit: units(amount) for unit, amount in micros.items()})
    _into(row, "micros", micros)


def _put_quantile(timing: Timing, rank: str, row: dict[str, object], group: Group) -> None:
    _into(row, timing.value, {rank: _quantile(group, timing, rank)})


def _into(row: dict[str, object], field: str, more: Mapping[str, object]) -> None:
    held = row.setdefault(field, more)
    if held is not more and isinstance(held, dict):
        row[field] = {**held, **more}


def _figure(question: Question, name: str) -> Callable[[Group], Cell]:
    """How a group's value under this name is found; a unit in micro-units."""
    names = question.names
    if name in names:
        at = names.index(name)
        return lambda group: group.key[at]
    field, _, part = name.partition(".")
    if field in set(Timing):
        return lambda group: _quantile(group, Timing(field), part)
    figures: dict[Measure, Callable[[Group], Cell]] = {
        Measure.REQUESTS: lambda group: sum(group.outcomes.values()),
        Measure.OUTCOMES: lambda group: group.outcomes.get(part, 0),
        Measure.UNITS: lambda group: group.micros.get(part),
        Measure.BYTES_IN: lambda group: group.bytes_in,
        Measure.BYTES_OUT: lambda group: group.bytes_out,
        Measure.CUSTOMERS: lambda group: len(group.customers),
    }
    return figures[Measure(field)]


def _times(question: Question, window: Window, groups: Sequence[Group]) -> list[Column]:
    begins = [moment(int(group.key[0] or 0)) for group in groups]
    ends = {begin: ended(begin, window, question.zone) for begin in set(begins)}
    return [
        Column(name="window", kind=Kind.TIME, values=begins, zone=question.zone),
        Column(
            name="window_end",
            kind=Kind.TIME,
            values=[ends[begin] for begin in begins],
            zone=question.zone,
        ),
    ]


def _column(question: Question, name: str, groups: Sequence[Group]) -> Column:
    kinds = {Dimension.STATUS.value: Kind.WHOLE, Dimension.ESTIMATED.value: Kind.FLAG}
    of = _figure(question, name)
    kind = kinds.get(name, Kind.TEXT)
    return Column(name=name, kind=kind, values=[of(group) for group in groups])


def _measured(question: Question, name: str, groups: Sequence[Group]) -> list[Column]:
    match name:
        case Measure.OUTCOMES:
            names = [f"{name}.{outcome}" for outcome in Outcome]
        case Measure.UNITS:
            counted = sorted({unit for group in groups for unit in group.micros})
            names = [f"{name}.{unit}" for unit in counted]
        case _:
            names = [name]
    found = []
    for one in names:
        of = _figure(question, one)
        found.append(Column(name=one, kind=_kind(one), values=[of(group) for group in groups]))
    return found


def _kind(name: str) -> Kind:
    match name.partition(".")[0]:
        case Measure.UNITS:
            return Kind.UNITS
        case Timing.LATENCY | Timing.FIRST_TOKEN:
            return Kind.REAL
        case _:
            return Kind.WHOLE


def _quantile(group: Group, timing: Timing, rank: str) -> float | None:
    return sketch.quantile(group.sketches.get(timing, sketch.EMPTY), QUANTILES[rank])


def _at(time: datetime, zone: str) -> str:
    return time.astimezone(ZoneInfo(zone)).isoformat().replace("+00:00", "Z")


def _sortable(value: Cell) -> tuple[bool, Cell]:
    """None before all else; a dimension's and a measure's values are of one type."""
    return (value is not None, value if value is not None else 0)
