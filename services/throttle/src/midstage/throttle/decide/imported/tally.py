"""Hits of rules, cumulated; the names as there.

A name may have values of requests in it (``detailed_metric``, ``value_to_metric``, limits that
requests carry), so there are at most so many: what comes later counts under one name a domain.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MOST: Final = 10_000
OTHERS: Final = "(others)"
LONGEST: Final = 512
"""A name that is longer counts among the others: its value is not a word but a text."""


@dataclass(slots=True, kw_only=True)
class Stats:
    """Hits of a rule."""

    total_hits: int = 0
    over_limit: int = 0
    near_limit: int = 0
    within_limit: int = 0
    over_limit_with_local_cache: int = 0
    shadow_mode: int = 0


class Tally:
    """The hits of each name, from a process's start."""

    def __init__(self, *, most: int = MOST) -> None:
        """``most`` names, and the others of each domain."""
        self._most = most
        self._stats: dict[tuple[str, str], Stats] = {}

    def __getitem__(self, name: str) -> Stats:
        """What is counted under a name as there, its domain in front; nothing if nothing is."""
        return next((stats for (_, each), stats in self._stats.items() if each == name), Stats())

    def __iter__(self) -> Iterator[tuple[tuple[str, str], Stats]]:
        """The hits by domain and the rest of the name; safe while others count."""
        for (domain, name), stats in list(self._stats.items()):
            yield (domain, name[len(domain) + 1 :]), stats

    def of(self, domain: str, name: str) -> Stats:
        """What counts the hits of ``name``, which begins with its domain and a dot."""
        key = (domain, name)
        stats = self._stats.get(key)
        if stats is None:
            if len(self._stats) >= self._most or len(name) > LONGEST:
                key = (domain, f"{domain}.{OTHERS}")
            stats = self._stats.setdefault(key, Stats())
        return stats
