"""How often a process looks for garbage: seldom, because nearly all is freed as it is let go of.

Only what holds itself needs a collector. With Python's own thresholds a consumer that holds some
10,000 records at once walked over them again and again, for a third of all its time.
"""

import gc

_YOUNG, _OLDER, _OLDEST = 50_000, 20, 50


def collected_seldom() -> None:
    """Leave what stands now alone for good, and wait for 50,000 new containers before a look."""
    gc.freeze()
    gc.set_threshold(_YOUNG, _OLDER, _OLDEST)
