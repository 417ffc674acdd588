"""The loop that merges what has settled by the clock, turn after turn until it shall stop."""

import threading
from datetime import datetime, timedelta

import pytest

from midstage.stats.stream import merging
from midstage.stats.stream.merging import PAGES_KEPT, SETTLED_AFTER, Tidying

from .conftest import NOON


def test_only_hours_that_late_events_and_pages_have_left_are_merged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(merging, "EVERY_S", 0.0)
    stop, turns = threading.Event(), list[datetime]()

    def merge(*, before: datetime) -> int:
        turns.append(before)
        if len(turns) == 2:
            stop.set()
        return len(turns) - 1

    Tidying(merge, now=lambda: NOON).run(stop)
    assert turns == [NOON - SETTLED_AFTER] * 2
    assert PAGES_KEPT + timedelta(minutes=10) <= SETTLED_AFTER
