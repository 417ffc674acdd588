"""Claims of windows of the calendar and the epoch, which are asked by the other clock."""

from typing import Final

from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.claims.windows import WindowClaims
from midstage.throttle.decide.meters.wall import OnWallClock
from midstage.throttle.decide.meters.window import Window
from midstage.throttle.model.account import Settlement

_WINDOW: Final = WindowClaims()


class WallClaims:
    """Those of the window, by its own clock."""

    algorithm: Final = _WINDOW.algorithm

    def of(self, meter: OnWallClock, units: int, now_ns: int, until_ns: int) -> Standing:
        """By the wall clock."""
        ahead_ns = meter.ahead_ns
        return _WINDOW.of(_window(meter), units, now_ns + ahead_ns, until_ns + ahead_ns)

    def room(self, meter: OnWallClock, claim: Standing, now_ns: int) -> int:
        """By the wall clock."""
        return _WINDOW.room(_window(meter), claim, now_ns + meter.ahead_ns)

    def give_back(self, meter: OnWallClock, back: Settlement) -> None:
        """By the wall clock."""
        meter.settle(back)

    def restore(self, meter: OnWallClock, claim: Standing, now_ns: int) -> None:
        """By the wall clock."""
        _WINDOW.restore(_window(meter), claim, now_ns + meter.ahead_ns)

    def part(self, meter: OnWallClock) -> int:
        """No clock has a part in it."""
        return _WINDOW.part(_window(meter))

    def implied(self, meter: OnWallClock, part: int, now_ns: int) -> int:
        """By the wall clock."""
        return _WINDOW.implied(_window(meter), part, now_ns + meter.ahead_ns)

    def begin(self, meter: OnWallClock, part: int, until_ns: int, now_ns: int) -> None:
        """By the wall clock."""
        ahead_ns = meter.ahead_ns
        _WINDOW.begin(_window(meter), part, until_ns + ahead_ns, now_ns + ahead_ns)


def _window(meter: OnWallClock) -> Window:
    assert isinstance(meter.meter, Window)
    return meter.meter
