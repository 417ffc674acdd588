"""Wait for facts, not for time: a condition is asked again until it holds or time is up."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, condition: Callable[[], T], *, every: float = 0.02) -> T:
    """The first true value of ``condition``; AssertionError with the last one after ``seconds``.

    What ``condition`` raises is not caught, so a wrong question fails at once. It is asked once
    more when the time is up: a question may have taken all of it, on a machine that stood still.
    """
    deadline = time.monotonic() + seconds
    while True:
        late = time.monotonic() >= deadline
        value = condition()
        if value:
            return value
        if late:
            asked = getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not within {seconds} s: {asked} still gives {value!r}")
        time.sleep(every)
