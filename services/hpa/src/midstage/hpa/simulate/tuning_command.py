"""``tune``: a policy tuned on the first half of a past, and how it does on the second.

On stdout a policy as YAML, to be pasted, its figures as comments; progress on stderr. HPA v2 stands
beside it at the same cost.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf, isinf
from typing import Final

import msgspec

from midstage.contracts.errors import MidstageError
from midstage.contracts.policy import Policy
from midstage.eventlog.log import Log
from midstage.hpa.simulate import source
from midstage.hpa.simulate.halves import Half, Halves, Progress, halves
from midstage.hpa.simulate.money import SAYS
from midstage.hpa.simulate.series import Series

_TENTHS: Final = 10
Fields = Mapping[str, object]


def command(arguments: Sequence[str], *, log_at: Callable[[str], Log]) -> int:
    """The exit code: 0 done, 1 the past can't be read or is too short, 2 a wrong line."""
    asked = _parsed(arguments)
    try:
        series = source.past(asked, log_at)
        found = halves(
            series,
            each=asked.carries,
            cold_start_s=asked.cold_start,
            warm_up_s=asked.warm_up,
            money=asked.money,
            most=asked.max,
            progress=_progress(),
        )
    except (MidstageError, OSError) as e:
        sys.stderr.write(f"{e}\n")
        return 1
    lines = [_json(found)] if asked.json else _told(asked, series, found)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="midstage.hpa.main tune", description=__doc__)
    source.options(parser)
    parser.add_argument(
        "--money", type=float, default=inf, metavar="TIMES", help="so many times the ideal at most"
    )
    parser.add_argument("--max", type=int, default=1000, metavar="REPLICAS")
    parser.add_argument("--json", action="store_true", help="policy and figures as JSON")
    return parser.parse_args(arguments)


def _progress() -> Progress:
    """A line for each tenth."""
    said: dict[str, int] = {}

    def told(words: str, share: float) -> None:
        tenth = int(share * _TENTHS)
        if tenth > said.get(words, 0):
            said[words] = tenth
            sys.stderr.write(f"{words}: {tenth * _TENTHS} %\n")
            sys.stderr.flush()

    return told


def _told(asked: argparse.Namespace, series: Series, found: Halves) -> Iterator[str]:
    yield f"# {series.days:.1f} days from {series.begun.isoformat()}"
    words = (
        "" if asked.carries is not None else ", a hundredth of the 99.9th percentile (--carries)"
    )
    yield f"# assumed: each replica serves {found.each:.6g} a second{words}"
    yield f"# and is ready {asked.cold_start:g} s after it was ordered"
    yield _row("", "tuned on", "told on")
    for name, shown in _FIGURES.items():
        yield _row(name, shown(found.first), shown(found.second))
    if found.second.theirs <= SAYS:
        yield "# where HPA v2 violates 0.1 % or less, compare what both cost at no more violation"
    yield "scaling:"
    yield from _yaml(_fields(found.policy), "  ")


_FIGURES: Final[dict[str, Callable[[Half], str]]] = {
    "days counted": lambda one: f"{one.figures.days:.1f}",
    "violated, of the time": lambda one: f"{one.figures.violation:.3%}",
    "  HPA v2 at its cost": lambda one: f"{one.theirs:.3%}",
    "  a static count at its cost": lambda one: f"{one.static:.3%}",
    "cost, of the ideal": lambda one: f"{one.figures.cost:.3f}",
    "  HPA v2, violating no more": lambda one: (
        "never" if isinf(one.their_cost) else f"{one.their_cost:.3f}"
    ),
    "lost, of the requests": lambda one: f"{one.figures.lost:.3%}",
    "reversals a day": lambda one: f"{one.figures.reversals:.1f}",
}


def _row(name: str, *cells: str) -> str:
    return f"# {name:<29}" + "".join(f"{cell:>12}" for cell in cells)


def _fields(policy: Policy) -> Fields:
    """As people write it: what has its default is left out, but an empty forecast is one."""
    found = msgspec.to_builtins(policy)
    return found if isinstance(found, dict) else {}


def _yaml(fields: Fields, indent: str) -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{name}:"
            yield from _yaml(value, indent + "  ")
        else:
            shown = float(f"{value:.6g}") if isinstance(value, float) else value
            yield f"{indent}{name}: {msgspec.json.encode(shown).decode()}"


def _json(found: Halves) -> str:
    parts = {"policy": found.policy, "first": found.first, "second": found.second}
    return msgspec.json.format(msgspec.json.encode(parts)).decode()
