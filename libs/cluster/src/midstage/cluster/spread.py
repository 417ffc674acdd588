"""Where a required spread lets the next replica go, counted as Kubernetes' scheduler does. Pure.

Domains are the values of a label on the nodes that match the selector and have all labels that
replicas are spread over, whether those nodes take pods now or not: one that takes none holds back
all others. Counted are the replicas of one workload that are not about to end.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from midstage.cluster.objects import Node, Template

_MOST_TRIED, _MOST_DEEP = 200, 12
MISSING_LABEL = "node(s) didn't match pod topology spread constraints (missing required label)"
UNEVEN = "node(s) didn't match pod topology spread constraints"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spreading:
    """One required spread: the domain of each node that counts, and by how much counts differ."""

    skew: int
    domains: Mapping[str, str]

    def counts(self, beside: Mapping[str, int]) -> dict[str, int]:
        """By domain, from how many replicas are on each node."""
        found = dict.fromkeys(self.domains.values(), 0)
        for node, count in beside.items():
            if node in self.domains:
                found[self.domains[node]] += count
        return found

    def allows(self, node: str, beside: Mapping[str, int]) -> bool:
        """Whether one more may go there."""
        counts = self.counts(beside)
        return counts[self.domains[node]] + 1 - min(counts.values()) <= self.skew


def required(template: Template, nodes: Sequence[Node]) -> tuple[Spreading, ...]:
    """The spreads that hold a replica back; others are wishes."""
    asked = [each for each in template.spread if each.required]
    labels = {each.over for each in asked}
    selector = template.node_selector.items()
    counting = [
        node for node in nodes if labels <= node.labels.keys() and selector <= node.labels.items()
    ]
    return tuple(
        Spreading(
            skew=each.max_skew, domains={node.name: node.labels[each.over] for node in counting}
        )
        for each in asked
    )


def refusal(spreads: Sequence[Spreading], node: str, beside: Mapping[str, int]) -> str:
    """Why no replica may go to the node now, in the scheduler's words; empty: one may."""
    if any(node not in each.domains for each in spreads):
        return MISSING_LABEL
    return "" if all(each.allows(node, beside) for each in spreads) else UNEVEN


def room(
    spreads: Sequence[Spreading],
    free: Mapping[str, int],
    beside: Mapping[str, int],
    *,
    most: int,
) -> int:
    """How many more can be placed, at most ``most``, where each node has room for ``free`` more.

    Of one spread whichever of the places is taken first: each domain fills up to the skew beyond
    the one that holds least. Of several the emptiest places are taken first.
    """
    if not spreads:
        return min(most, sum(free.values()))
    if len(spreads) > 1:
        return _filled(spreads, free, beside, most=most)
    (only,) = spreads
    there, more = only.counts(beside), only.counts(free)
    least = min((there[domain] + more[domain] for domain in there), default=0)
    rooms = (min(there[each] + more[each], least + only.skew) - there[each] for each in there)
    return min(most, sum(max(0, each) for each in rooms))


def surely(
    spreads: Sequence[Spreading],
    free: Mapping[str, int],
    beside: Mapping[str, int],
    *,
    most: int,
) -> int:
    """As ``room``; of several the fewest that are placed, whichever places are taken first, where
    there are not too many ways to try.
    """
    if len(spreads) > 1:
        with suppress(_TooManyError):
            return _Fewest(spreads).more(free, beside, most)
    return room(spreads, free, beside, most=most)


class _TooManyError(Exception):
    """There are too many ways to try."""


class _Fewest:
    """How many more are placed at least until none can be; each position is looked at once."""

    def __init__(self, spreads: Sequence[Spreading]) -> None:
        self._spreads = spreads
        self._known: dict[frozenset[tuple[str, int]], int] = {}

    def more(self, free: Mapping[str, int], beside: Mapping[str, int], most: int) -> int:
        """At most ``most``. _TooManyError."""
        position = frozenset(free.items())
        if position not in self._known:
            if len(self._known) >= _MOST_TRIED or most > _MOST_DEEP:
                raise _TooManyError
            self._known[position] = self._placed(free, beside, most)
        return self._known[position]

    def _placed(self, free: Mapping[str, int], beside: Mapping[str, int], most: int) -> int:
        found = most
        is_open = False
        for node, room in free.items():
            if most and room > 0 and not refusal(self._spreads, node, beside):
                is_open = True
                there = {**beside, node: beside.get(node, 0) + 1}
                rest = self.more({**free, node: room - 1}, there, most - 1)
                found = min(found, 1 + rest)
        return found if is_open else 0


def _filled(
    spreads: Sequence[Spreading],
    free: Mapping[str, int],
    beside: Mapping[str, int],
    *,
    most: int,
) -> int:
    held = [each.counts(beside) for each in spreads]
    left = {
        node: more
        for node, more in sorted(free.items())
        if more > 0 and all(node in each.domains for each in spreads)
    }
    for placed in range(most):
        highest = [
            each.skew + min(counts.values()) for each, counts in zip(spreads, held, strict=True)
        ]
        best, fewest = None, 0
        for node in left:
            there = [counts[each.domains[node]] for each, counts in zip(spreads, held, strict=True)]
            allowed = all(count < top for count, top in zip(there, highest, strict=True))
            if allowed and (best is None or sum(there) < fewest):
                best, fewest = node, sum(there)
        if best is None:
            return placed
        for each, counts in zip(spreads, held, strict=True):
            counts[each.domains[best]] += 1
        left[best] -= 1
        if not left[best]:
            del left[best]
    return most
