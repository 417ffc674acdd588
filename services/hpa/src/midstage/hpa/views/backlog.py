"""How what waits moves: what comes in, how fast it grows, and what one consumer does a second.

Of a consumer group the sums of its offsets say it exactly. A consumer's rate is believed only from
times in which more waited than was done: else it had nothing to do, and could do more.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Final

import msgspec

from midstage.contracts.signals import SignalObserved

WINDOW_S: Final = 60.0
SHORTEST_S: Final = 4.0
LEARNED_OVER_S: Final = 20.0
"""Consumers commit each few seconds: over less the figure is of the commits, not of the work."""
_SECOND: Final = timedelta(seconds=1)


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One moment: what waited, and of a group (``partitions`` above 0) its sums and consumers."""

    at: datetime
    value: float
    partitions: int = 0
    arrived: int = 0
    done: int = 0
    consumers: int | None = None


def sample(fact: SignalObserved) -> Sample:
    """What is kept of a fact."""
    return Sample(
        at=fact.observed_at,
        value=fact.value or 0.0,
        partitions=len(fact.partitions),
        arrived=sum(each.end for each in fact.partitions),
        done=sum(max(each.committed, each.beginning) for each in fact.partitions),
        consumers=fact.consumers,
    )


def arrived_per_s(samples: Sequence[Sample]) -> float | None:
    """What came in over the last minute, of a group; None: not known."""
    ends = _ends(samples)
    if ends is None or not ends[1].partitions or ends[0].partitions != ends[1].partitions:
        return None
    first, last = ends
    came = last.arrived - first.arrived
    return came / _apart_s(first, last) if came >= 0 else None  # below 0: a topic was made anew


def growth_per_s(samples: Sequence[Sample]) -> float | None:
    """By how much more waits, a second, over the last minute; None: not known."""
    ends = _ends(samples)
    return None if ends is None else (ends[1].value - ends[0].value) / _apart_s(*ends)


def each_per_s(samples: Sequence[Sample]) -> float | None:
    """What one consumer did a second while work waited, the median; None: not seen."""
    rates = sorted(_rates(samples))
    return median(rates) if rates else None


def _rates(samples: Sequence[Sample]) -> Iterator[float]:
    begin: Sample | None = None
    for each in samples:
        if begin is None or not _worked_on(begin, each):
            begin = each
        elif _apart_s(begin, each) >= LEARNED_OVER_S and each.done > begin.done:
            yield (each.done - begin.done) / _apart_s(begin, each) / (each.consumers or 1)
            begin = each


def _worked_on(first: Sample, last: Sample) -> bool:
    """The same consumers, of the same partitions, and never without work."""
    same = (first.partitions, first.consumers) == (last.partitions, last.consumers)
    done = last.done - first.done
    return same and bool(last.partitions and last.consumers) and 0 <= done <= first.value


def _ends(samples: Sequence[Sample]) -> tuple[Sample, Sample] | None:
    """The newest sample and the oldest of the minute before it, where they are apart enough."""
    if not samples:
        return None
    last = samples[-1]
    first = next(each for each in samples if _apart_s(each, last) <= WINDOW_S)
    return (first, last) if _apart_s(first, last) >= SHORTEST_S else None


def _apart_s(first: Sample, last: Sample) -> float:
    return (last.at - first.at) / _SECOND
