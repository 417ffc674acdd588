"""Any sequence of commits, questions, restarts, deaths, damage and days agrees with a set."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .seen import Shelf, emptied, half, one_bit

PLACES = ("seen:drafted", "seen:sealed", "seen:merged")
DAMAGES = (half, one_bit, emptied)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that happens: ``what``, with so many events or in such a place."""

    what: str
    count: int = 0
    place: str = ""


COMMITS = st.builds(Step, what=st.just("commit"), count=st.integers(0, 12))
STEPS = st.one_of(
    COMMITS,
    COMMITS,
    COMMITS,
    st.just(Step(what="restart")),
    st.just(Step(what="day")),
    st.builds(Step, what=st.just("die"), count=st.integers(0, 12), place=st.sampled_from(PLACES)),
    st.builds(Step, what=st.just("damage"), count=st.integers(0, 40)),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=60), seal_at=st.integers(1, 9))
def test_any_history_agrees_with_a_set(
    steps: list[Step], seal_at: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shelf = Shelf(folder=tmp_path_factory.mktemp("seen"), seal_at=seal_at)
    held: set[int] = set()
    days = 0
    for step in steps:
        days += step.what == "day"
        added = range(len(held), len(held) + step.count * (step.what in {"commit", "die"}))
        happens(shelf, step, added)
        held.update(added)
        if days < 36:
            asked = range(len(held) + 20)
            assert shelf.known(asked) == [name in held for name in asked]
    shelf.seen.close()


def happens(shelf: Shelf, step: Step, added: range) -> None:
    match step.what:
        case "commit":
            shelf.commit(added)
        case "die":
            shelf.commit_and_die(added, step.place)
        case "day":
            shelf.days_later(1)
        case "damage":
            damaged(shelf, step.count)
        case _:
            shelf.start()


def damaged(shelf: Shelf, which: int) -> None:
    files: list[Path] = shelf.files()
    if files:
        damage: Callable[[Path], None] = DAMAGES[which % len(DAMAGES)]
        damage(files[which % len(files)])
        shelf.start()
