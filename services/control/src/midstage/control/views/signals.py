"""The newest of each signal by source, for whoever asks; bounded, of too many the oldest go."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.contracts.signals import SignalObserved

MOST: Final = 50_000
Place = tuple[str, str, str, str, str]
"""Application, kind, name, series, source."""


class SignalRow(TypedDict):
    """A signal: its ``value``, or that of each pod in ``by_pod``; ``partitions`` of a lag."""

    app: str
    kind: str
    name: str
    series: str
    source: str
    value: float | None
    by_pod: dict[str, float]
    arrived_per_s: float | None
    partitions: int
    consumers: int | None
    observed_at: datetime


class SignalsAnswer(TypedDict):
    """Signals, by application, kind and name."""

    signals: list[SignalRow]


class Newest:
    """The fold; not for two threads at once."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._held: dict[Place, SignalObserved] = {}

    def apply(self, fact: SignalObserved) -> None:
        """Take in a fact; one that is older than what is known changes nothing."""
        place = (fact.app, fact.kind.value, fact.name, fact.series, fact.source)
        held = self._held.get(place)
        if held is not None and held.observed_at >= fact.observed_at:
            return
        self._held.pop(place, None)  # so that what was said last stands last
        self._held[place] = fact
        if len(self._held) > MOST:
            del self._held[next(iter(self._held))]

    def of(self, place: Place) -> SignalObserved | None:
        """The newest of one source."""
        return self._held.get(place)

    def all(self, app: str | None) -> Sequence[SignalObserved]:
        """Those of an application (None: of all), in order."""
        return [
            fact for place, fact in sorted(self._held.items()) if app is None or place[0] == app
        ]


def answer(facts: Sequence[SignalObserved]) -> SignalsAnswer:
    """As people see them."""
    return {"signals": [_row(each) for each in facts]}


def _row(fact: SignalObserved) -> SignalRow:
    return {
        "app": fact.app,
        "kind": fact.kind.value,
        "name": fact.name,
        "series": fact.series,
        "source": fact.source,
        "value": fact.value,
        "by_pod": fact.by_pod,
        "arrived_per_s": fact.arrived_per_s,
        "partitions": len(fact.partitions),
        "consumers": fact.consumers,
        "observed_at": fact.observed_at,
    }
