"""Wait for facts, not for time: a condition is asked again until it holds or time is up.

The longer it has taken, the less often it is asked: a question costs whoever asks and whoever
answers milliseconds of a processor that what is waited for may need.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_SHARE, _MOST_S = 0.05, 0.1
"""What a wait may add to the time that the fact itself took, and to any time."""


def within(seconds: float, condition: Callable[[], T], *, every: float = 0.02) -> T:
    """The first true value of ``condition``; AssertionError with the last one after ``seconds``.

    What ``condition`` raises is not caught, so a wrong question fails at once. It is asked again
    after ``every`` seconds, later on after a twentieth of the time so far, at most 0.1 s; and once
    more when the time is up: a question may have taken all of it, on a machine that stood still.
    """
    begun = time.monotonic()
    deadline = begun + seconds
    while True:
        late = time.monotonic() >= deadline
        value = condition()
        if value:
            return value
        if late:
            asked = getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not within {seconds} s: {asked} still gives {value!r}")
        time.sleep(max(every, min(_MOST_S, _SHARE * (time.monotonic() - begun))))
