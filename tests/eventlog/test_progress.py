"""Ready means making progress, not just running."""

from midstage.eventlog.progress import Progress
from midstage.testkit.clock import FrozenClock


def test_records_that_wait_while_nothing_moves_are_no_progress() -> None:
    clock = FrozenClock()
    progress = Progress(clock.monotonic)
    progress.came_round(lag=0)
    assert progress.reason() is None
    progress.has_records()
    clock.advance(4)
    assert progress.reason() is None
    clock.advance(2)
    assert progress.reason() == "records wait and nothing moved for 6 s"
    progress.moved()
    assert progress.reason() is None


def test_lag_that_no_poll_gives_is_no_progress_though_the_loop_turns() -> None:
    clock = FrozenClock()
    progress = Progress(clock.monotonic)
    for _ in range(7):
        progress.came_round(lag=3)
        clock.advance(1)
    assert progress.reason() == "records wait and nothing moved for 7 s"


def test_a_loop_that_hangs_is_no_progress() -> None:
    clock = FrozenClock()
    progress = Progress(clock.monotonic)
    progress.came_round(lag=0)
    clock.advance(6)
    assert progress.reason() == "the loop has not come round for 6 s"


def test_to_read_on_is_progress_but_no_remedy() -> None:
    clock = FrozenClock()
    progress = Progress(clock.monotonic)
    progress.came_round(lag=0)
    progress.has_records()
    clock.advance(4)
    progress.went_on()
    clock.advance(4)
    assert progress.reason() is None
    clock.advance(2)
    assert progress.reason() == "records wait and nothing moved for 6 s"
    progress.backs_off("the ledger is away")
    progress.went_on()
    assert progress.reason() == "the ledger is away"
