"""How long a part of each counter of a partition may be used that no claim names.

Whoever takes a partition thereby claims the first units of every counter in it, written or not:
whoever counts next begins without them. So the first checks of a counter wait for no log.
"""

from typing import Final


class Holding:
    """Of one partition, shared by the rooms of its counters; changes in place.

    ``until_ns`` is how long this process may use that part; 0: not at all. ``before_ns`` is how
    long those who held it before may have used theirs; 0: nobody did.
    """

    __slots__ = ("before_ns", "until_ns")

    def __init__(self, *, until_ns: int = 0, before_ns: int = 0) -> None:
        """By default nothing is implied."""
        self.until_ns = until_ns
        self.before_ns = before_ns


NOTHING_IMPLIED: Final = Holding()
"""Of counters whose every unit is claimed before it is used; never changed."""
