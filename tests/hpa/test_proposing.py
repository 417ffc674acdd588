"""What HPA v2 wants by one metric, at the edges: its tolerance, its roundings, its guesses."""

import pytest

from midstage.hpa.decide.hpav2.pods import Phase, Pod, Readiness
from midstage.hpa.decide.hpav2.proposing import (
    MOST,
    NoMetricError,
    Tolerance,
    Want,
    by_average,
    by_share,
    by_utilization,
    by_value,
)

EXACT = Tolerance(down=0.0, up=0.0)
TENTH = Tolerance()


def pods(
    *used: int | None, starting: int = 0, request: int | None = 100, pending: int = 0
) -> tuple[Pod, ...]:
    """Of each what it uses, None where it is not measured; and others that are not ready."""
    phases = [*[Phase.RUNNING] * (len(used) + starting), *[Phase.PENDING] * pending]
    figures = [*used, *[10] * (starting + pending)]
    return tuple(
        Pod(
            name=f"pod-{number}",
            phase=phase,
            ready=number < len(used),
            started_age_s=900 if number < len(used) else 5,
            transition_age_s=800 if number < len(used) else 5,
            request_m=request,
            metric_m=figure,
        )
        for number, (phase, figure) in enumerate(zip(phases, figures, strict=True))
    )


@pytest.mark.parametrize(
    ("ratio", "holds"), [(0.8, True), (0.79, False), (1.0, True), (1.25, True), (1.26, False)]
)
def test_a_tolerance_is_by_direction_and_its_edge_is_in_it(ratio: float, *, holds: bool) -> None:
    assert Tolerance(down=0.2, up=0.25).holds(ratio) is holds


def test_a_tenth_is_tolerated_where_nobody_says() -> None:
    assert Tolerance() == Tolerance(down=0.1, up=0.1)


@pytest.mark.parametrize(
    ("given", "current", "percent", "replicas", "usage"),
    [
        (pods(60, 60, 60), 3, 30, 6, 60),
        (pods(33, 33, 33), 3, 30, 3, 33),
        (pods(34, 34, 34), 3, 30, 4, 34),
        (pods(27, 27, 27), 3, 30, 3, 27),
        (pods(26, 26, 26), 3, 30, 3, 26),  # 2.6 of them, rounded up
        (pods(9, 10, 10), 3, 30, 1, 9),  # 9.67 % are 9
        # one that is not measured
        (pods(90, 90, None), 3, 30, 6, 90),  # as idle: 60 % of three
        (pods(10, 10, None), 3, 80, 2, 10),  # as full: 40 % of three
        (pods(10, 10, None), 3, 150, 2, 10),  # as full as it is allowed: 56 %
        (pods(50, 50, None), 3, 55, 3, 50),  # full it would turn the direction: 66 %
        (pods(40, None), 5, 30, 5, 40),  # idle it would: 20 %
        (pods(41, 41, 41, 41, *[None] * 4), 8, 80, 7, 41),  # 70.5 % of eight are 70
        (pods(42, 42, 42, 42, *[None] * 4), 8, 80, 8, 42),  # 71 %: 7.1
        (pods(40, 40, None), 3, 30, 3, 40),  # idle it would: 26 % of three
        (pods(30, 30, None), 5, 30, 5, 30),  # even: as nothing
        # those that start are idle where there is too much, and nothing where there is not
        (pods(90, 90, starting=1), 3, 30, 6, 90),
        (pods(90, 90, pending=1), 3, 30, 6, 90),
        (pods(10, 10, starting=2), 4, 30, 1, 10),
        (pods(40, starting=1), 5, 30, 5, 40),  # idle it would turn the direction
        (pods(20, None, starting=2), 9, 50, 9, 20),
        (pods(90, starting=1, pending=1), 3, 30, 3, 90),  # 30 % of three
        (pods(90, None, starting=2), 4, 30, 4, 90),  # 22 % of four turn it
        # what the workload has is not yet what was ordered, or more than it
        (pods(60, 60, 60, None), 9, 30, 9, 60),  # 45 % of four are six: not fewer than there are
        (pods(10, 10, 10, 10, None), 1, 60, 1, 10),  # 28 % of five are three: not more
    ],
)
def test_by_utilization(
    given: tuple[Pod, ...], current: int, percent: int, replicas: int, usage: int
) -> None:
    found = by_utilization(
        given,
        current=current,
        percent=percent,
        cpu=True,
        tolerance=TENTH,
        readiness=Readiness(),
    )
    assert found == Want(replicas=replicas, usage=usage)


@pytest.mark.parametrize(
    ("given", "current", "average_m", "replicas", "usage"),
    [
        (pods(60, 60, 60), 3, 30, 6, 60),
        (pods(10, 10, 12), 3, 30, 1, 10),  # 10.67 are 10
        (pods(33, 33, 33), 3, 30, 3, 33),
        (pods(90, 90, None), 3, 30, 6, 90),
        (pods(10, 10, None), 3, 30, 2, 10),
        (pods(30, 30, None), 3, 30, 2, 30),  # even: the one that is not measured is idle
        (pods(90, 90, pending=1), 3, 30, 6, 90),
        (pods(61, None), 2, 20, 3, 61),  # 30.5 are 30
        (pods(62, None), 2, 20, 4, 62),
        (pods(61, pending=1), 2, 20, 3, 61),
        (pods(62, pending=1), 2, 20, 4, 62),
        (pods(90, 90, starting=1), 3, 90, 3, 63),  # readiness does not count
    ],
)
def test_by_average(
    given: tuple[Pod, ...], current: int, average_m: int, replicas: int, usage: int
) -> None:
    found = by_average(
        given,
        current=current,
        average_m=average_m,
        cpu=False,
        tolerance=TENTH,
        readiness=Readiness(),
    )
    assert found == Want(replicas=replicas, usage=usage)


@pytest.mark.parametrize(
    ("given", "current", "value_m", "replicas"),
    [
        (pods(1, 1, 1), 3, 200, 6),
        (pods(1, 1, 1), 3, 110, 3),
        (pods(1, 1, 1), 3, 111, 4),
        (pods(1, 1, 1), 3, 90, 3),
        (pods(1, 1, starting=1), 3, 200, 4),
        (pods(1, 1, pending=1), 3, 200, 4),
        ((), 0, 250, 3),
        ((), 1, 100, 1),
    ],
)
def test_by_value(given: tuple[Pod, ...], current: int, value_m: int, replicas: int) -> None:
    found = by_value(given, current=current, value_m=value_m, target_m=100, tolerance=TENTH)
    assert found == Want(replicas=replicas, usage=value_m)


@pytest.mark.parametrize(
    ("current", "value_m", "replicas", "each"),
    [
        (3, 600, 6, 200),
        (3, 601, 7, 201),
        (3, 330, 3, 110),
        (3, 331, 4, 111),
        (3, 270, 3, 90),
        (3, 199, 2, 67),
        (0, 250, 3, 250),
        (1, 10**18, MOST, 10**18),
    ],
)
def test_by_share(current: int, value_m: int, replicas: int, each: int) -> None:
    found = by_share(current=current, value_m=value_m, average_m=100, tolerance=TENTH)
    assert found == Want(replicas=replicas, usage=each)


def test_no_more_are_wanted_than_a_count_holds() -> None:
    assert MOST == 2_147_483_647
    found = by_share(current=0, value_m=MOST, average_m=1, tolerance=EXACT)
    assert found.replicas == MOST


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ((), "the workload has no pods"),
        (pods(50, request=0), "pod-0 requests nothing of the resource"),
        (pods(50, request=None), "pod-0 requests nothing of the resource"),
        (pods(None), "no ready pod is measured"),
        (pods(starting=2), "no ready pod is measured"),
    ],
)
def test_what_can_not_be_used_is_named(given: tuple[Pod, ...], why: str) -> None:
    with pytest.raises(NoMetricError, match=why):
        by_utilization(
            given, current=1, percent=50, cpu=True, tolerance=TENTH, readiness=Readiness()
        )


def test_without_pods_nothing_is_known_of_an_average_or_a_value() -> None:
    with pytest.raises(NoMetricError, match="no pods"):
        by_value((), current=1, value_m=200, target_m=100, tolerance=TENTH)
    for given, why in (((), "no pods"), (pods(None), "no ready pod is measured")):
        with pytest.raises(NoMetricError, match=why):
            by_average(
                given, current=1, average_m=5, cpu=False, tolerance=TENTH, readiness=Readiness()
            )
