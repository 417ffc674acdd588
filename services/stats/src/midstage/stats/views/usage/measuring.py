"""Which figures a caller wants, by name: ``requests``, ``units.images``, ``ttft_ms.p99.9``."""

from collections.abc import Sequence

from midstage.contracts.requests import Outcome
from midstage.stats.views.usage.question import QUANTILES, Measure, Timing, Wanted

MOST_MEASURES = 64
LONGEST_UNIT = 64
DEFAULT = (Measure.REQUESTS, Measure.OUTCOMES, Measure.UNITS)
_MANY = frozenset({Measure.OUTCOMES.value, Measure.UNITS.value})
_OUTCOMES, _UNITS = f"{Measure.OUTCOMES}.", f"{Measure.UNITS}."


class UnclearError(ValueError):
    """A field does not say what is meant; ``path`` leads to it."""

    def __init__(self, detail: str, *path: str | int) -> None:
        """Keep the sentence and the way to the field."""
        super().__init__(detail)
        self.path = path


def wanted(names: Sequence[str]) -> Wanted:
    """The measures of these names; UnclearError for one that there is not."""
    if len(names) > MOST_MEASURES:
        raise UnclearError(f"at most {MOST_MEASURES} at once", "measures")
    measures: set[Measure] = set()
    units: set[str] = set()
    quantiles: dict[Timing, list[str]] = {}
    columns = tuple(dict.fromkeys(names or DEFAULT))
    for i, name in enumerate(columns):
        timing, _, rank = name.partition(".")
        if name in set(Measure):
            measures.add(Measure(name))
        elif name.startswith(_UNITS) and len(_UNITS) < len(name) <= len(_UNITS) + LONGEST_UNIT:
            units.add(name.removeprefix(_UNITS))
        elif name.startswith(_OUTCOMES) and name.removeprefix(_OUTCOMES) in set(Outcome):
            pass  # they are always read
        elif timing in set(Timing) and rank in QUANTILES:
            quantiles.setdefault(Timing(timing), []).append(rank)
        else:
            raise UnclearError(f"{name!r} is none of {_KNOWN}", "measures", i)
    return Wanted(
        measures=frozenset(measures),
        units=None if Measure.UNITS in measures else frozenset(units),
        quantiles={timing: tuple(ranks) for timing, ranks in quantiles.items()},
        columns=tuple(str(name) for name in columns),
    )


def has_one_figure(wanted: Wanted, name: str) -> bool:
    """Whether groups can be put in order by it: it is asked for, and is one number."""
    family, _, part = name.partition(".")
    if name in _MANY or not (part or name in set(Measure)):
        return False
    return name in wanted.columns or (family in _MANY and family in wanted.columns)


_KNOWN = ", ".join(
    (
        *Measure,
        f"{_UNITS}<name>",
        f"{_OUTCOMES}<name>",
        *(f"{timing}.<quantile>" for timing in Timing),
        f"quantiles being {', '.join(QUANTILES)}",
    )
)
