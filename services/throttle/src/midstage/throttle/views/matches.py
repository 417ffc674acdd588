"""Which labels of a request matter: those that the ``match`` of some limit names, by their value.

All others are as if they were not there, so what callers make up neither costs a look-up nor
fills what is remembered. How many look-ups labels cost depends on the combinations of names that
limits ask for, never on how many limits or values there are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeVar

_T = TypeVar("_T")
Match = tuple[tuple[str, str], ...]
"""Labels by name, in the order of their names."""


class Matches:
    """What the limits that stand ask of labels."""

    def __init__(self) -> None:
        """No limit asks for any."""
        self._shapes: Counter[tuple[str, ...]] = Counter()
        self._labels: Counter[tuple[str, str]] = Counter()

    def add(self, match: Match) -> None:
        """One more limit asks for these."""
        if match:
            self._shapes[_names(match)] += 1
            self._labels.update(match)

    def remove(self, match: Match) -> None:
        """One that was added stands no longer."""
        if match:
            _drop(self._shapes, _names(match))
            for label in match:
                _drop(self._labels, label)

    def known(self, labels: Mapping[str, str]) -> Match:
        """Those of ``labels`` that some limit asks for."""
        asked = self._labels
        if not asked or not labels:
            return ()
        return tuple(sorted(label for label in labels.items() if label in asked))

    def fulfilled(self, known: Match) -> Iterator[Match]:
        """All that limits may ask for and find in ``known``; first nothing."""
        yield ()
        if not known:
            return
        values = dict(known)
        for names in self._shapes:
            if all(name in values for name in names):
                yield tuple((name, values[name]) for name in names)


def match_of(labels: Mapping[str, str]) -> Match:
    """As a key, whatever the order in which they were said."""
    return tuple(sorted(labels.items()))


def _drop(counted: Counter[_T], one: _T) -> None:
    counted[one] -= 1
    if not counted[one]:
        del counted[one]


def _names(match: Match) -> tuple[str, ...]:
    return tuple(name for name, _ in match)
