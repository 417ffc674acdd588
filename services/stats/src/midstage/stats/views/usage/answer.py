"""The answer to a question: its groups in order, page by page, or whole as columns.

A page is a piece of one answer that stays as it is while data comes in. Columns are those of the
whole answer, whatever the page: an export never lacks one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
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
_Field = tuple[str, Callable[[Group], object]]


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
    found = sorted(groups, key=lambda group: [_sortable(value) for value in group.key])
    for one in reversed(question.order):
        figure = _figure(question, one.by)
        found.sort(key=lambda group, of=figure: _sortable(of(group)), reverse=one.falling)  # type: ignore[misc]  # mypy can't infer a lambda's default
    return found


def shown(question: Question, groups: Sequence[Group]) -> list[dict[str, object]]:
    """The groups as JSON has them: times with the zone's offset, units exact in ``micros``."""
    cells = {**_keys(question, groups), **_sums(question, groups)}
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


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
    """Every column of the answer once, in the order of the key and of the measures as asked."""
    found = [_column(question, name, groups) for name in question.group_by]
    if question.window:
        found[:0] = [
            Column(name=name, kind=Kind.TIME, values=times, zone=question.zone)
            for name, times in _times(question, question.window, groups).items()
        ]
    for name in question.wanted.columns:
        found += _measured(question, name, groups)
    return list({column.name: column for column in found}.values())


def _keys(question: Question, groups: Sequence[Group]) -> dict[str, Sequence[object]]:
    found: dict[str, Sequence[object]] = {}
    if question.window:
        for name, times in _times(question, question.window, groups).items():
            found[name] = [_at(time, question.zone) for time in times]
    for name in question.group_by:
        found[name] = _column(question, name, groups).values
    return found


def _sums(question: Question, groups: Sequence[Group]) -> dict[str, Sequence[object]]:
    """Each field once, however many of its parts were asked for."""
    parts: dict[str, list[str]] = {}
    for name in question.wanted.columns:
        field, _, part = name.partition(".")
        parts.setdefault(field, []).append(part)
    found: dict[str, Sequence[object]] = {}
    for field, of_it in parts.items():
        match field:
            case Measure.OUTCOMES:
                found[field] = [_outcomes(group.outcomes, of_it) for group in groups]
            case Measure.UNITS:
                micros = [_named(group.micros, of_it) for group in groups]
                found[field] = [
                    {unit: units(amount) for unit, amount in one.items()} for one in micros
                ]
                found["micros"] = micros
            case Timing.LATENCY | Timing.FIRST_TOKEN:
                timing = Timing(field)
                found[field] = [
                    {rank: _quantile(group, timing, rank) for rank in of_it} for group in groups
                ]
            case _:
                figure = _figure(question, field)
                found[field] = [figure(group) for group in groups]
    return found


def _outcomes(counts: Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
    """These outcomes, also those that nothing had; an empty name: all that something had."""
    found: dict[str, int] = {}
    for name in names:
        found |= {name: counts.get(name, 0)} if name else sorted(counts.items())
    return found


def _named(sums: Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
    """The sums of these names as far as there are; an empty name: all, in order."""
    found: dict[str, int] = {}
    for name in names:
        if not name:
            found |= sorted(sums.items())
        elif name in sums:
            found[name] = sums[name]
    return found


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
        Measure.CUSTOMERS: lambda group: group.customers,
    }
    return figures[Measure(field)]


def _times(
    question: Question, window: Window, groups: Sequence[Group]
) -> dict[str, list[datetime]]:
    begins = [moment(int(group.key[0] or 0)) for group in groups]
    ends = {begin: ended(begin, window, question.zone) for begin in set(begins)}
    return {"window": begins, "window_end": [ends[begin] for begin in begins]}


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
