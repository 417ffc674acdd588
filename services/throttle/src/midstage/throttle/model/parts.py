"""What throttles ask each other: parts of a limit over all customers, and what is lent of it.

Structs of msgspec, as they go over the wire between throttles.
"""

from typing import Annotated

import msgspec

from midstage.contracts.fact import Name

_Units = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
_Serial = Annotated[int, msgspec.Meta(ge=0)]


class PartAsked(msgspec.Struct, frozen=True, kw_only=True):
    """``holder`` wants a part of ``limit`` from ``owner``, or gives its part back.

    ``owner`` is one start of a process: no other takes the question for its own. ``number`` is
    larger than that of any question of this holder before; once it is sent, answers to those are
    not taken. ``holding`` is the serial number of the newest answer that was taken, 0 of none.

    ``wants_micros``: millionths of a unit a second. ``left``: what it has, of the window
    ``window``. ``least``: what it needs at once, as checks wait for it. ``back``: units of that
    window that it uses no more. Who wants and needs nothing goes by no part from now on.

    ``owed``: units that requests have used beyond its part, all since it began, and ``paid``: those
    of them that answers have said to be charged.
    """

    limit: Name
    owner: Name
    holder: Name
    number: Annotated[int, msgspec.Meta(ge=1)]
    holding: _Serial = 0
    wants_micros: Annotated[int, msgspec.Meta(ge=0, le=10**18)] = 0
    left: _Units = 0
    least: _Units = 0
    back: _Units = 0
    window: Annotated[str, msgspec.Meta(max_length=64)] = ""
    owed: _Serial = 0
    paid: _Serial = 0

    @property
    def ends(self) -> bool:
        """Whether it goes by no part from now on."""
        return not self.wants_micros and not self.least


class PartLent(msgspec.Struct, frozen=True, kw_only=True):
    """``rate_micros`` and ``burst`` for ``term_ns`` after the question, and ``add`` units at once.

    What is left of another ``window`` than this one is over. ``free``: what the owner has for
    whoever asks next, ``wait_ns``: when it has more. ``paid``: so much of what the holder owed is
    charged. ``serial`` 0: nothing is said.
    """

    serial: _Serial = 0
    rate_micros: _Serial = 0
    burst: _Serial = 0
    add: _Serial = 0
    window: str = ""
    term_ns: _Serial = 0
    free: _Serial = 0
    wait_ns: int | None = None
    paid: _Serial = 0


UNSAID = PartLent()
