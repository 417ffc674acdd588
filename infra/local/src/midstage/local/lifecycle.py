"""The life of one supervised process as a value; everything that changes it stands here. Pure.

    WAITING --started--> RUNNING --died--> WAITING (a restart, after its back-off)
       |                    |   \\--ended--> ENDED  (it runs once)
       |                 stopping
       \\--stopping--> ENDED <--died-- STOPPING

Deaths in a row double the wait; a process that ran for ``STABLE_S`` starts over with the first.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0
STABLE_S = 20.0


class State(StrEnum):
    """Where a process is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One process: since when it is in its state, when its next start is due, how often it fell.

    ``in_a_row`` are deaths without a stable time between them; ``exit_code`` is how it ended last,
    None: it never did.
    """

    state: State = State.WAITING
    since: float = 0.0
    due: float = 0.0
    restarts: int = 0
    in_a_row: int = 0
    exit_code: int | None = None


def born(now: float) -> Life:
    """A process that should be started at once."""
    return Life(since=now, due=now)


def is_due(life: Life, now: float) -> bool:
    """Whether it should be started now."""
    return life.state is State.WAITING and now >= life.due


def started(life: Life, now: float) -> Life:
    """It runs from now on."""
    return replace(life, state=State.RUNNING, since=now)


def died(life: Life, now: float, *, exit_code: int, restarted: bool) -> Life:
    """It ended: to be started again, unless it was asked to stop or runs once."""
    after = replace(life, since=now, exit_code=exit_code)
    if life.state is State.STOPPING or not restarted:
        return replace(after, state=State.ENDED)
    in_a_row = 1 if now - life.since >= STABLE_S else life.in_a_row + 1
    return replace(
        after,
        state=State.WAITING,
        due=now + wait_s(in_a_row),
        restarts=life.restarts + 1,
        in_a_row=in_a_row,
    )


def stopping(life: Life, now: float) -> Life:
    """It is to end and stay so; one that only waits for its next start has ended already."""
    if life.state is State.RUNNING:
        return replace(life, state=State.STOPPING)
    return replace(life, state=State.ENDED, since=now) if life.state is State.WAITING else life


def wait_s(in_a_row: int) -> float:
    """How long to wait before the next start after so many deaths in a row (from 1 on)."""
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(in_a_row - 1, 30)))
