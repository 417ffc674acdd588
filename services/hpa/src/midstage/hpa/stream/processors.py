"""How many processors there are for a replay: all, or what it may take beside an hpa that decides.

Processes that make evaluations again are nice, so the scheduler lets whoever decides go first. A
quota of a container is no such thing: who has used it up waits, whoever it was. There one processor
is left to the deciding.
"""

import os
from pathlib import Path
from typing import Final

QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
MOST_BESIDE: Final = 4
"""Reading for more of them would keep the interpreter from the thread that decides."""


def usable(quota: Path = QUOTA) -> int:
    """So many processors can this process keep busy; one at least."""
    allowed, limit = _there(quota)
    return allowed if limit is None else max(1, min(allowed, int(limit)))


def beside(quota: Path = QUOTA) -> int:
    """So many may others use while this process decides; 0: its quota has none left for them."""
    allowed, limit = _there(quota)
    return min(MOST_BESIDE, allowed if limit is None else min(allowed, max(0, int(limit) - 1)))


def _there(quota: Path) -> tuple[int, float | None]:
    """The processors it may run on, and so many of them in all; None: there is no such limit."""
    return len(os.sched_getaffinity(0)), _limit(quota)


def _limit(quota: Path) -> float | None:
    """``cpu.max`` of cgroup v2: microseconds, or ``max``, in each so many."""
    try:
        used_us, each_us = quota.read_text().split()
        return max(0.0, int(used_us) / int(each_us))
    except (OSError, ValueError, ZeroDivisionError):
        return None
