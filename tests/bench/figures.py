"""What a run of the bench found: figures with their rounds, and ratios that a reader can check.

A ratio is this figure's median divided by the peer's median of the same measure, in the same run.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is compared within one race; ``more_is_better`` False for times."""

    name: str
    unit: str
    more_is_better: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One contestant's values of one measure, one value a round; ``ratios`` by peer."""

    group: str
    measure: Measure
    contestant: str
    count: str
    values: tuple[float, ...]
    ratios: Mapping[str, float]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return median(self.values)


Taken = Mapping[str, Mapping[str, Sequence[float]]]
"""Values by measure and contestant, one a round."""


def figures(
    *,
    group: str,
    measures: Iterable[Measure],
    taken: Taken,
    peers: Sequence[str],
    counts: Mapping[str, str],
) -> list[Figure]:
    """The figures of one race in the order of ``measures``; no contestant is its own peer."""
    return [
        Figure(
            group=group,
            measure=measure,
            contestant=contestant,
            count=counts[contestant],
            values=tuple(values),
            ratios=_ratios(taken[measure.name], contestant, peers),
        )
        for measure in measures
        for contestant, values in taken.get(measure.name, {}).items()
    ]


def _ratios(
    taken: Mapping[str, Sequence[float]], contestant: str, peers: Sequence[str]
) -> dict[str, float]:
    own = median(taken[contestant])
    others = {peer: median(taken[peer]) for peer in peers if peer in taken and peer != contestant}
    return {peer: own / other for peer, other in others.items() if other > 0}
