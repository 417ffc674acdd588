"""Knative's autoscaler at its edges: what panics, what ends it, what is held and how long."""

import pytest

from midstage.hpa.decide.kpa import Memory, Observed, Scaled, Spec, scaled


def spec(**said: object) -> Spec:
    """10 for each replica, no burst to have room for."""
    return Spec(**{"target": 10, "total": 20, "burst": 0, **said})  # type: ignore[arg-type]


def seen(stable: float | None, panic: float | None = None, *, ready: int = 4) -> Observed:
    """The panic window sees the same where nothing else is said."""
    return Observed(ready=ready, stable=stable, panic=stable if panic is None else panic)


def count(of: Spec, observed: Observed, memory: Memory | None = None, now: float = 100) -> int:
    found, _ = scaled(of, memory or Memory(), observed, now)
    assert found is not None
    return found.replicas


def after(of: Spec, observed: Observed, memory: Memory | None = None, now: float = 100) -> Memory:
    return scaled(of, memory or Memory(), observed, now)[1]


def test_what_nobody_says_is_what_knative_has() -> None:
    assert Spec(target=1, total=2) == Spec(
        target=1,
        total=2,
        panic_threshold=2,
        most_up=1000,
        most_down=2,
        stable_s=60,
        delay_s=0,
        activation=0,
        burst=211,
        reachable=True,
    )
    assert Memory() == Memory(panic_since=None, most=0, maxima=())


def test_without_data_there_is_no_count_and_nothing_is_forgotten() -> None:
    memory = Memory(panic_since=1, most=7, maxima=((3, 4),))
    for unknown in (
        Observed(ready=1, stable=None, panic=1),
        Observed(ready=1, stable=1, panic=None),
    ):
        assert scaled(spec(), memory, unknown, 100) == (None, memory)


@pytest.mark.parametrize(
    ("said", "stable", "ready", "replicas"),
    [
        ({}, 40, 4, 4),
        ({}, 41, 4, 5),
        ({}, 0, 4, 2),
        ({}, 0, 5, 2),
        ({}, 0, 1, 0),
        ({}, 30, 0, 3),
        ({"most_down": 1.5}, 0, 4, 2),
        ({"most_up": 1.5, "panic_threshold": 99}, 900, 3, 5),
        ({"most_up": 1.5, "panic_threshold": 99}, 900, 0, 2),
        ({"reachable": False}, 0, 4, 0),
        ({"activation": 1}, 5, 1, 1),
        ({"activation": 2}, 5, 1, 2),
        ({"activation": 3}, 5, 1, 3),
        ({"activation": 3}, 0, 1, 0),
        ({"activation": 3}, 39, 4, 4),
    ],
)
def test_by_the_stable_window(
    said: dict[str, object], stable: float, ready: int, replicas: int
) -> None:
    assert count(spec(**said), seen(stable, ready=ready)) == replicas


@pytest.mark.parametrize(("panic", "since"), [(71, 100), (70, None), (80, 100)])
def test_twice_what_is_ready_panics(panic: float, since: float | None) -> None:
    assert after(spec(), seen(40, panic)).panic_since == since


def test_where_none_is_ready_it_is_as_if_one_was() -> None:
    assert after(spec(), seen(5, 20, ready=0)).panic_since == 100
    assert after(spec(), seen(5, 10, ready=0)).panic_since is None


def test_a_panic_wants_the_most_of_both_windows_and_of_itself() -> None:
    began = after(spec(), seen(10, 90))
    assert began == Memory(panic_since=100, most=9)
    assert count(spec(), seen(10, 20), began, 101) == 9
    assert count(spec(), seen(10, 120), began, 101) == 12
    assert count(spec(), seen(130, 20), began, 101) == 13
    assert after(spec(), seen(130, 20), began, 101) == Memory(panic_since=100, most=13)
    assert after(spec(), seen(10, 90), began, 101).panic_since == 101


def test_a_panic_ends_when_its_window_is_past() -> None:
    began = Memory(panic_since=40, most=9)
    assert after(spec(), seen(40), began, 100) == began
    assert after(spec(), seen(40), began, 100.1) == Memory()
    assert count(spec(), seen(40), began, 100.1) == 4


@pytest.mark.parametrize(
    ("delay_s", "maxima", "replicas", "kept"),
    [
        (0, ((49, 9),), 4, ((49, 9),)),
        (-1, ((49, 9),), 4, ((49, 9),)),
        (0.5, (), 4, ((50, 4),)),
        (3, ((49, 9),), 9, ((49, 9), (50, 4))),
        (3, ((48, 9),), 4, ((50, 4),)),
        (4, ((49, 9), (49, 4)), 9, ((49, 9), (50, 4))),
        (4, ((49, 3),), 4, ((50, 4),)),
        (4, ((49, 9), (50, 5)), 9, ((49, 9), (50, 5), (50, 4))),
    ],
)
def test_the_most_of_the_delay_is_held_by_ticks_of_two_seconds(
    delay_s: float,
    maxima: tuple[tuple[int, int], ...],
    replicas: int,
    kept: tuple[tuple[int, int], ...],
) -> None:
    of, memory = spec(delay_s=delay_s), Memory(maxima=maxima)
    for now in (100, 101.9):
        assert count(of, seen(40), memory, now) == replicas
        assert after(of, seen(40), memory, now).maxima == kept


def test_what_is_not_reachable_waits_for_nothing() -> None:
    memory = Memory(maxima=((49, 9),))
    assert count(spec(delay_s=60, reachable=False), seen(40), memory) == 4
    assert count(spec(delay_s=60), seen(40), memory) == 9


@pytest.mark.parametrize(
    ("burst", "excess"), [(0, 0), (-1, -1), (-0.5, -1), (0.5, 39), (1, 38), (30, 9), (50, -11)]
)
def test_excess_is_what_is_left_above_the_load_and_the_burst(burst: float, excess: int) -> None:
    found, _ = scaled(spec(burst=burst), Memory(), seen(40, 40.1), 100)
    assert found == Scaled(replicas=4, excess=excess)
