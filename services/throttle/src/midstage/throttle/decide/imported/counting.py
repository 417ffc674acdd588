"""Counts as envoyproxy/ratelimit does, one request after the other.

A counter belongs to a rule, the values of its entries and a window aligned to the epoch. Every hit
counts, also of refused requests, and a request is over when one of its descriptors is. Hits below 0
are given back, not below nothing, and always pass. Descriptors in quota mode refuse only together:
when every group of them (a model: its ``backend_name`` and ``model_name_override``) has one that is
over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

from midstage.throttle.decide.imported.asking import Asked, asked
from midstage.throttle.decide.imported.routing import group_of
from midstage.throttle.decide.imported.tally import Stats, Tally
from midstage.throttle.decide.imported.windows import MOST, Count, Windows
from midstage.throttle.model.imported import (
    FREE,
    SECONDS,
    UNLIMITED,
    Answer,
    Descriptor,
    Match,
    Node,
    Request,
    Rule,
    Status,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """That product's settings; each is off by default, as there.

    ``stop_when_over``: once one descriptor goes over, only those that go over are charged.
    ``local_cache``: what is over is answered without counting, until its window ends.
    """

    stop_when_over: bool = False
    local_cache: bool = False
    global_shadow: bool = False
    global_quota: bool = False
    near_limit: Fraction = Fraction(4, 5)


class Counters:
    """Every counter and all statistics of one process."""

    def __init__(self, *, options: Options | None = None, windows: Windows | None = None) -> None:
        """Nothing is counted yet."""
        self.options = options or Options()
        self.stats = Tally()
        self.global_shadow_mode = 0
        self._near_numerator, self._near_denominator = self.options.near_limit.as_integer_ratio()
        self._windows = Windows() if windows is None else windows

    def __len__(self) -> int:
        """How many counters are remembered."""
        return len(self._windows)

    def answer(self, domains: Mapping[str, Node], request: Request, now_s: int) -> Answer:
        """Judge and count one request by these rules; RefusedError for one that asks nothing.

        UnavailableError where there is no room for its counters: nothing is counted then.
        """
        return self.judged(asked(domains, request), now_s)

    def judged(self, question: Asked, now_s: int) -> Answer:
        """Judge and count; UnavailableError without room for the counters."""
        counting = self._counting(question.counting, now_s)
        known = self._known(counting, question.hits)
        charged = self._charged(counting, question.hits, known)
        statuses = [
            _UNCOUNTED if each is None else self._judged(each, own, charge, now_s, known=over)
            for each, own, charge, over in zip(counting, question.hits, charged, known, strict=True)
        ]
        for number in question.free:
            statuses[number] = FREE
        return self._together(question.request.descriptors, statuses)

    def sweep(self, now_s: int, *, most: int = MOST) -> None:
        """Forget ``most`` counters of windows that are over."""
        self._windows.sweep(now_s, most=most)

    def _counting(
        self, matches: Sequence[Match | None], now_s: int
    ) -> Sequence["_Counting | None"]:
        """The counters of the matches, all of them or UnavailableError."""
        return [
            None
            if match is None
            else _Counting(
                match.rule,
                self._windows.of(match.key, seconds=_seconds(match), now_s=now_s),
                self.stats.of(match.key[0], match.metric),
                _seconds(match),
            )
            for match in matches
        ]

    def _known(self, counting: Sequence["_Counting | None"], hits: Sequence[int]) -> Sequence[bool]:
        """Which descriptors are known to be over before the question is counted."""
        if not self.options.local_cache:
            return [False] * len(hits)
        return [
            each is not None and own >= 0 and each.counter.cached
            for each, own in zip(counting, hits, strict=True)
        ]

    def _charged(
        self, counting: Sequence["_Counting | None"], hits: Sequence[int], cached: Sequence[bool]
    ) -> Sequence[int]:
        """What each descriptor adds to its counter."""
        options = self.options
        going = [
            each is not None and own >= 0 and each.counter.hits + own > each.rule.requests
            for each, own in zip(counting, hits, strict=True)
        ]
        stopped = options.stop_when_over and (any(cached) or any(going))
        if not stopped:
            return [0 if known else own for own, known in zip(hits, cached, strict=True)]
        charging = [False] * len(hits) if any(cached) else going
        return [own if own < 0 or charge else 0 for own, charge in zip(hits, charging, strict=True)]

    def _judged(
        self, each: "_Counting", hits: int, charge: int, now_s: int, *, known: bool
    ) -> Status:
        rule, count, stats, seconds = each
        most = rule.requests
        reset_s = seconds - now_s % seconds
        if hits < 0:
            count.hits = max(0, count.hits + hits)
            count.cached = count.cached and count.hits > most
            return Status(
                over=False, remaining=max(0, most - count.hits), reset_s=reset_s, limit=rule
            )
        stats.total_hits += hits
        count.hits += charge
        before = max(0, count.hits - hits)
        over = known or count.hits > most
        if known:
            stats.over_limit += hits
            stats.over_limit_with_local_cache += hits
        elif over:
            self._went_over(stats, before, count.hits, most, hits)
            count.cached = self.options.local_cache
        else:
            stats.near_limit += min(hits, max(0, count.hits - self._near(most)))
            stats.within_limit += hits
        if over and rule.shadow:
            stats.shadow_mode += hits if known or before >= most else count.hits - most
        remaining = 0 if over else most - count.hits
        return Status(
            over=over and not rule.shadow, remaining=remaining, reset_s=reset_s, limit=rule
        )

    def _went_over(self, stats: Stats, before: int, after: int, most: int, hits: int) -> None:
        if before >= most:
            stats.over_limit += hits
        else:
            stats.over_limit += after - most
            stats.near_limit += most - max(self._near(most), before)

    def _near(self, most: int) -> int:
        return most * self._near_numerator // self._near_denominator

    def _together(self, descriptors: Sequence[Descriptor], statuses: Sequence[Status]) -> Answer:
        least: Status | None = None
        nearest = UNLIMITED
        groups: dict[str, bool] = {}
        refused = False
        for descriptor, status in zip(descriptors, statuses, strict=True):
            if status.limit is not None and status.remaining < nearest:
                least, nearest = status, status.remaining
            if status is FREE:
                continue
            if self.options.global_quota or (status.limit is not None and status.limit.quota):
                group = group_of(descriptor)
                groups[group] = groups.get(group, False) or status.over
            elif status.over:
                refused, least, nearest = True, status, 0
        over = refused or (bool(groups) and all(groups.values()))
        if over and self.options.global_shadow:
            self.global_shadow_mode += 1
            over = False
        return Answer(over=over, statuses=tuple(statuses), least=least)


class _Counting(NamedTuple):
    """A rule that holds, its counter, its statistics, and how long its window is."""

    rule: Rule
    counter: Count
    stats: Stats
    seconds: int


_UNCOUNTED: Final = Status(over=False, remaining=0)


def _seconds(match: Match) -> int:
    return 0 if match.rule.unit is None else SECONDS[match.rule.unit]
