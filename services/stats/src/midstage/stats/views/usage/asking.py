"""From a caller's words to a question; what can't be meant is a 400 that names the field.

GET says it as parameters, POST as a JSON object with the same names; a field of POST is named by
its JSON pointer.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from midstage.contracts.errors import RefusedError
from midstage.stats.views.usage import measuring
from midstage.stats.views.usage.measuring import UnclearError
from midstage.stats.views.usage.question import (
    LABEL,
    Dimension,
    Ordered,
    Question,
    Value,
    Window,
)
from midstage.stats.views.usage.windows import length

MOST_ROWS = 10_000
MOST_GROUPED = 8
MOST_VALUES = 1000
MOST_WINDOWS = 100_000
LONGEST_NAME = 256
DEFAULT_ROWS = 1000
AHEAD = timedelta(hours=25)
"""Events may be a day ahead of the clock."""
_YEARS = range(1970, 2200)
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_PART = re.compile(r'\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(?:,|\Z)')
_LISTS = ("group_by", "measures", "order")


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The words of a caller, as POST takes them."""

    since: str | None = msgspec.field(default=None, name="from")
    until: str | None = msgspec.field(default=None, name="to")
    window: str | None = None
    zone: str = "UTC"
    group_by: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    where: dict[str, tuple[Value, ...]] = {}
    order: tuple[str, ...] = ()
    limit: int | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What a caller means: the question, and which page of its answer; None: not said."""

    question: Question
    limit: int | None
    after: str | None


_body = msgspec.json.Decoder(Asked)
_DEFAULT = Asked()


def from_body(body: bytes, *, now: datetime) -> Meant:
    """What a JSON object means; RefusedError (400) with the JSON pointer of what is wrong."""
    try:
        asked = _body.decode(body or b"{}")
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        raise RefusedError(f"{_pointed(path)}: {text}", status=400) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(f"the body is not JSON: {error}", status=400) from error
    return _meant(asked, now=now, spelled=lambda *path: "".join(f"/{step}" for step in path))


def from_parameters(given: Iterable[tuple[str, str]], *, now: datetime) -> Meant:
    """What the parameters of GET mean; RefusedError (400) with the name of what is wrong.

    They are among those that the route declares, each once but for lists and dimensions.
    """
    said: dict[str, list[str]] = {}
    for name, text in given:
        said.setdefault(name, []).append(text)
    where = {
        name: tuple(said.pop(name))
        for name in list(said)
        if name in set(Dimension) or name.startswith(LABEL)
    }
    lists = {
        name: [part for text in said.pop(name, ()) for part in _listed(text)] for name in _LISTS
    }
    once = {name: text for name, (text,) in said.items()}
    fields: dict[str, object] = {
        **once,
        **{name: [part for part in parts if part] for name, parts in lists.items()},
        "where": where,
    }
    if "limit" in once:
        fields["limit"] = _whole(once["limit"])
    asked = msgspec.convert(fields, Asked)
    return _meant(asked, now=now, spelled=lambda *path: _parameter(path))


def _listed(text: str) -> Iterator[str]:
    """What stands between commas; in quotes, doubled within, it may hold commas itself."""
    at = 0
    while at < len(text) and (part := _PART.match(text, at)) is not None:
        quoted, plain = part.groups()
        yield plain.strip() if quoted is None else quoted.replace('""', '"')
        at = part.end()


def _meant(asked: Asked, *, now: datetime, spelled: Callable[..., str]) -> Meant:
    try:
        return Meant(question=_question(asked, now), limit=_limit(asked.limit), after=asked.after)
    except UnclearError as error:
        raise RefusedError(f"{spelled(*error.path)}: {error}", status=400) from error


def _question(asked: Asked, now: datetime) -> Question:
    since, until = _time("from", asked.since), _time("to", asked.until)
    if since is not None and until is not None and since > until:
        raise UnclearError(f"{asked.since!r} is after {asked.until!r}", "from")
    window = _window(asked.window, since=since, until=until or now + AHEAD)
    grouped = _grouped(asked.group_by)
    wanted = measuring.wanted(asked.measures)
    order = tuple(
        Ordered(by=text.removeprefix("-"), falling=text.startswith("-")) for text in asked.order
    )
    named = {*(("window",) if window else ()), *grouped}
    for i, one in enumerate(order):
        if one.by not in named and not measuring.has_one_figure(wanted, one.by):
            raise UnclearError(
                f"{one.by!r} is neither in group_by nor a measure with one figure", "order", i
            )
    return Question(
        wanted=wanted,
        since=since,
        until=until,
        window=window,
        zone=_zone(asked.zone),
        group_by=grouped,
        among={name: _among(name, values) for name, values in asked.where.items()},
        order=order,
    )


def _time(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    example = "2026-01-31T12:00:00Z"
    try:
        time = datetime.fromisoformat(text)
        exact = time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UnclearError(f"{text!r} is not a time like {example}", name) from error
    if time.tzinfo is None:
        raise UnclearError(f"{text!r} has no time zone; write it like {example}", name)
    if exact.year not in _YEARS:
        raise UnclearError(f"{text!r} is not between {_YEARS[0]} and {_YEARS[-1]}", name)
    return exact


def _window(text: str | None, *, since: datetime | None, until: datetime) -> Window | None:
    if text is None or text == "none":
        return None
    if text not in set(Window):
        raise UnclearError(f"{text!r} is none of {', '.join(Window)}, none", "window")
    window = Window(text)
    if since is None:
        raise UnclearError(f"a window of one {window} needs from, when the first begins", "window")
    if (until - since) / length(window) > MOST_WINDOWS:
        raise UnclearError(
            f"more than {MOST_WINDOWS} windows of one {window} are between from and to; "
            "take a longer window or less time",
            "window",
        )
    return window


def _zone(text: str) -> str:
    try:
        if _ZONE.fullmatch(text):
            ZoneInfo(text)
            return text
    except (ValueError, KeyError, OSError):
        pass
    raise UnclearError(f"{text!r} is no time zone like Europe/Berlin", "zone")


def _grouped(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > MOST_GROUPED:
        raise UnclearError(f"at most {MOST_GROUPED} at once", "group_by")
    for i, name in enumerate(names):
        _dimension(name, "group_by", i)
        if name in names[:i]:
            raise UnclearError(f"{name!r} is named twice", "group_by", i)
    return tuple(names)


def _dimension(name: str, *path: str | int) -> None:
    label = name.startswith(LABEL) and name != LABEL and len(name) <= LONGEST_NAME
    if not label and name not in set(Dimension):
        raise UnclearError(f"{name!r} is none of {', '.join(Dimension)}, {LABEL}<name>", *path)


def _among(name: str, values: Sequence[Value]) -> tuple[Value, ...]:
    _dimension(name, "where", name)
    if not 1 <= len(values) <= MOST_VALUES:
        raise UnclearError(f"1 to {MOST_VALUES} values", "where", name)
    return tuple(_value(name, value, i) for i, value in enumerate(values))


def _value(name: str, value: Value, i: int) -> Value:
    path = ("where", name, i)
    match name:
        case Dimension.STATUS:
            text = str(value)
            if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or len(text) > 3:
                raise UnclearError(f"{value!r} is no status", *path)
            return int(text)
        case Dimension.ESTIMATED:
            if str(value).lower() not in ("true", "false"):
                raise UnclearError(f"{value!r} is neither true nor false", *path)
            return str(value).lower() == "true"
        case _:
            if not isinstance(value, str):
                raise UnclearError(f"{value!r} is no text", *path)
            return value


def _limit(limit: int | None) -> int | None:
    if limit is not None and not 1 <= limit <= MOST_ROWS:
        raise UnclearError(f"{limit} is not between 1 and {MOST_ROWS}", "limit")
    return limit


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RefusedError(f"limit: {text!r} is not a number from 1 to {MOST_ROWS}", status=400)
    return int(text)


def _parameter(path: Sequence[str | int]) -> str:
    """A parameter is named by itself; so is a dimension, which has no ``where`` before it."""
    return str(path[1] if path[0] == "where" else path[0])


def _pointed(path: str) -> str:
    """The JSON pointer of what msgspec names as ``.group_by[1]``."""
    return re.sub(r"[.\[]", "/", path.rstrip("`").replace("]", "")) or "/"
