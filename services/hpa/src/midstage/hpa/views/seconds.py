"""What one shard said of an application's last minutes, a few bytes a second.

A ring by second: what is older than its ``SIZE`` makes room. Numbers are of four bytes, and of
eight from the first on that needs them.
"""

from array import array
from typing import Final

SIZE: Final = 900
"""Longer than what is kept of the past and believed of the future."""
UNKNOWN: Final = -1
DEAF: Final = -2
"""No edge speaks through the shard: it carries nothing, and knows nothing of what is in flight."""
_MOST: Final = 2**62


class Seconds:
    """The newest revision of each second; ``heard`` tells which are there."""

    __slots__ = ("_complete", "_concurrency", "_newest", "_requests", "_revisions")

    def __init__(self, number: int) -> None:
        """Begin with the second ``number``, of which nothing was said."""
        self._newest = number
        self._revisions = array("i", [UNKNOWN]) * SIZE
        self._requests = array("i", [UNKNOWN]) * SIZE
        self._concurrency = array("i", [UNKNOWN]) * SIZE
        self._complete = array("i", [0]) * SIZE

    @property
    def newest(self) -> int:
        """The newest second that anything was said of."""
        return self._newest

    def put(
        self, number: int, revision: int, *, requests: int, concurrency: int, complete: int
    ) -> None:
        """Take in a second; nothing where it is too old, or a revision as high is known.

        ``requests``: or ``UNKNOWN``. ``concurrency``: or ``UNKNOWN`` or ``DEAF``. ``complete``: up
        to which second all is counted, 0: unknown.
        """
        self._make_room(number)
        at = number % SIZE
        revision = max(revision, 0)
        if number <= self._newest - SIZE or self._revisions[at] >= revision:
            return
        try:
            self._revisions[at] = revision
            self._requests[at] = requests
            self._concurrency[at] = concurrency
            self._complete[at] = complete
        except OverflowError:
            self._widen()
            self._revisions[at] = min(revision, _MOST)
            self._requests[at] = min(requests, _MOST)
            self._concurrency[at] = min(concurrency, _MOST)
            self._complete[at] = min(complete, _MOST)

    def heard(self, number: int) -> bool:
        """Whether anything was said of the second."""
        within = self._newest - SIZE < number <= self._newest
        return within and self._revisions[number % SIZE] != UNKNOWN

    def requests(self, number: int) -> int:
        """Of a second that was heard of."""
        return int(self._requests[number % SIZE])

    def concurrency(self, number: int) -> int:
        """Of a second that was heard of."""
        return int(self._concurrency[number % SIZE])

    def complete(self, number: int) -> int:
        """Of a second that was heard of."""
        return int(self._complete[number % SIZE])

    def known(self, newest: int, oldest: int, window_s: int, *, gauged: bool) -> dict[int, int]:
        """What is known from ``newest`` back to ``oldest``, of the window before the first found.

        Of what was in flight where it is ``gauged``, else of the requests.
        """
        found: dict[int, int] = {}
        revisions = self._revisions
        values = self._concurrency if gauged else self._requests
        first = self._newest - SIZE + 1
        number, least = min(newest, self._newest), max(oldest, first)
        while number >= least:
            at = number % SIZE
            value = values[at]
            if value >= 0 and revisions[at] >= 0:
                if not found:
                    least = max(number - window_s + 1, first)
                found[number] = value
            number -= 1
        return found

    def _make_room(self, number: int) -> None:
        """Of the seconds between the newest one and this one nothing was said."""
        if number <= self._newest:
            return
        for each in range(max(self._newest + 1, number - SIZE + 1), number + 1):
            self._revisions[each % SIZE] = UNKNOWN
        self._newest = number

    def _widen(self) -> None:
        self._revisions = array("q", self._revisions)
        self._requests = array("q", self._requests)
        self._concurrency = array("q", self._concurrency)
        self._complete = array("q", self._complete)
