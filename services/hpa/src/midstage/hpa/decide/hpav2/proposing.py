"""From one metric to the replicas that HPA v2 wants by it.

Within the tolerance nothing changes. Pods that are not measured count against the direction: as
full where the ratio is below 1, as empty where it is above; what turns the direction is no change.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from midstage.hpa.decide.hpav2.pods import Groups, Pod, Readiness, grouped

MOST: Final = 2**31 - 1


class NoMetricError(Exception):
    """A metric can't be used; the words say why, for the decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far the ratio may be off 1 by direction; 0.1 is 10 %."""

    down: float = 0.1
    up: float = 0.1

    def holds(self, ratio: float) -> bool:
        """Whether the ratio is near enough to 1."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Want(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """So many ``replicas``; ``usage`` as HPA v2 shows it: percent, or milli-units."""

    replicas: int
    usage: int


def by_utilization(
    pods: Sequence[Pod],
    *,
    current: int,
    percent: int,
    cpu: bool,
    tolerance: Tolerance,
    readiness: Readiness,
) -> Want:
    """A share of what pods request of a resource, in whole percent; NoMetricError."""
    groups = _groups(pods, cpu=cpu, readiness=readiness)
    requests = _requests(pods)
    ratio, usage = _utilization(groups.used, requests, percent)

    def full(name: str) -> int:
        # who is allowed more than it requests may use as much while it is not measured
        return requests[name] * max(100, percent) // 100

    if (filled := _filled(groups, ratio, full=full, idle_if_even=False)) is None:
        return Want(replicas=_simply(ratio, len(groups.used), current, tolerance), usage=usage)
    again, _ = _utilization(filled, requests, percent)
    return Want(replicas=_again(ratio, again, len(filled), current, tolerance), usage=usage)


def by_average(
    pods: Sequence[Pod],
    *,
    current: int,
    average_m: int,
    cpu: bool,
    tolerance: Tolerance,
    readiness: Readiness,
) -> Want:
    """The mean of the pods' own values (of a resource too); NoMetricError."""
    groups = _groups(pods, cpu=cpu, readiness=readiness)
    ratio, usage = _average(groups.used, average_m)
    filled = _filled(groups, ratio, full=lambda _name: average_m, idle_if_even=True)
    if filled is None:
        return Want(replicas=_simply(ratio, len(groups.used), current, tolerance), usage=usage)
    again, _ = _average(filled, average_m)
    return Want(replicas=_again(ratio, again, len(filled), current, tolerance), usage=usage)


def by_value(
    pods: Sequence[Pod], *, current: int, value_m: int, target_m: int, tolerance: Tolerance
) -> Want:
    """One value that all ready pods share, of an object or outside; NoMetricError."""
    ratio = value_m / target_m
    if current == 0:
        return Want(replicas=_up(ratio), usage=value_m)
    if tolerance.holds(ratio):
        return Want(replicas=current, usage=value_m)
    if not pods:
        raise NoMetricError("the workload has no pods")
    return Want(replicas=_up(ratio * sum(pod.serves for pod in pods)), usage=value_m)


def by_share(*, current: int, value_m: int, average_m: int, tolerance: Tolerance) -> Want:
    """One value, of which each replica should have ``average_m``."""
    return Want(
        replicas=shared(current=current, value_m=value_m, average_m=average_m, tolerance=tolerance),
        usage=-(-value_m // current) if current else value_m,
    )


def shared(*, current: int, value_m: int, average_m: int, tolerance: Tolerance) -> int:
    """The replicas of ``by_share`` alone."""
    if current and tolerance.holds(value_m / (average_m * current)):
        return current
    return _up(value_m / average_m)


def _groups(pods: Sequence[Pod], *, cpu: bool, readiness: Readiness) -> Groups:
    if not pods:
        raise NoMetricError("the workload has no pods")
    return grouped(pods, cpu=cpu, readiness=readiness)


def _requests(pods: Sequence[Pod]) -> Mapping[str, int]:
    requests: dict[str, int] = {}
    for pod in pods:
        if not pod.request_m:
            raise NoMetricError(f"{pod.name} requests nothing of the resource")
        requests[pod.name] = pod.request_m
    return requests


def _utilization(
    used: Mapping[str, int], requests: Mapping[str, int], percent: int
) -> tuple[float, int]:
    of = sum([requests[name] for name in used])
    if not used or not of:
        raise NoMetricError("no ready pod is measured")
    usage = sum(used.values()) * 100 // of
    return usage / percent, usage


def _average(used: Mapping[str, int], average_m: int) -> tuple[float, int]:
    if not used:
        raise NoMetricError("no ready pod is measured")
    usage = sum(used.values()) // len(used)
    return usage / average_m, usage


def _filled(
    groups: Groups,
    ratio: float,
    *,
    full: Callable[[str], int],
    idle_if_even: bool,
) -> Mapping[str, int] | None:
    """What is used with the others guessed; None where there are none to guess."""
    rebalanced = bool(groups.unready) and ratio > 1.0
    if not rebalanced and not groups.missing:
        return None
    filled = dict(groups.used)
    if ratio < 1.0:
        filled |= {name: full(name) for name in groups.missing}
    elif ratio > 1.0 or idle_if_even:
        filled |= dict.fromkeys(groups.missing, 0)
    if rebalanced:
        filled |= dict.fromkeys(groups.unready, 0)
    return filled


def _simply(ratio: float, ready: int, current: int, tolerance: Tolerance) -> int:
    return current if tolerance.holds(ratio) else _up(ratio * ready)


def _again(ratio: float, again: float, pods: int, current: int, tolerance: Tolerance) -> int:
    turned = ratio < 1.0 < again or again < 1.0 < ratio
    if turned or tolerance.holds(again):
        return current
    replicas = _up(again * pods)
    against = (again < 1.0 and replicas > current) or (again > 1.0 and replicas < current)
    return current if against else replicas


def _up(exact: float) -> int:
    return min(math.ceil(exact), MOST)
