"""Named places in production code where a test can make the process die.

Production passes ``nothing``; only ``midstage.testkit`` knows how to turn a place into a kill.
"""

from collections.abc import Callable

Failpoint = Callable[[str], None]


def nothing(_place: str) -> None:
    """The failpoint of production: no place does anything."""
