"""What keeps a meter, whatever its algorithm, from where the log says that it stood.

What stands there of another algorithm or another unit, or makes no sense, says nothing of this
meter: it begins anew.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from midstage.contracts.limits import LimitSet
from midstage.contracts.spends import Unanswered
from midstage.throttle.decide.claims.claim import Claims
from midstage.throttle.decide.claims.lent import LentClaims
from midstage.throttle.decide.claims.levels import (
    BucketClaims,
    GcraClaims,
    LeakyClaims,
)
from midstage.throttle.decide.claims.slots import SlotClaims
from midstage.throttle.decide.claims.wall import WallClaims
from midstage.throttle.decide.claims.windows import (
    LifetimeClaims,
    MovingClaims,
    SlidingClaims,
    WindowClaims,
)
from midstage.throttle.decide.kept import Kept
from midstage.throttle.decide.lending import LentBucket, MakeLent
from midstage.throttle.decide.metering import LimitAccount, meter_of
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.meters.gcra import Gcra
from midstage.throttle.decide.meters.leaky import LeakyBucket
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.meters.sliding import MovingWindow, SlidingCounter
from midstage.throttle.decide.meters.slots import Slots
from midstage.throttle.decide.meters.wall import OnWallClock, WallClock
from midstage.throttle.decide.meters.window import LifetimeQuota, Window
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.slot_room import SlotRoom
from midstage.throttle.decide.spends import Stood
from midstage.throttle.decide.strict import Strict
from midstage.throttle.model.holding import NOTHING_IMPLIED, Holding
from midstage.throttle.model.limits import Key

M = TypeVar("M", bound=Meter)

_BUCKET: Final = BucketClaims()
_GCRA: Final = GcraClaims()
_LEAKY: Final = LeakyClaims()
_LENT: Final = LentClaims()
_LIFETIME: Final = LifetimeClaims()
_MOVING: Final = MovingClaims()
_SLIDING: Final = SlidingClaims()
_SLOTS: Final = SlotClaims()
_WALL: Final = WallClaims()
_WINDOW: Final = WindowClaims()
_NOBODY_S: Final = ("", "", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Which counter it is, what it counts, how it stood in the log, and who hears of its changes.

    ``holding`` says what may be used of it that no claim names. ``strict``: without room;
    ``unanswered`` are then in it, and may yet be told of.
    """

    key: Key
    unit: str
    stood: Stood | None
    now_ns: int
    asked: Callable[[Kept], None]
    holding: Holding = NOTHING_IMPLIED
    strict: bool = False
    unanswered: Sequence[Unanswered] = ()


def opened(  # noqa: C901, PLR0911  one case for each algorithm
    meter: Meter, opening: Opening
) -> Kept | None:
    """What keeps ``meter``; None where nothing does."""
    match meter:
        case LentBucket():
            return _over(meter, _LENT, opening)
        case TokenBucket():
            if opening.stood is not None and opening.stood.algorithm == _named(_LENT, opening.unit):
                return _over(LentBucket(meter), _LENT, opening)
            return _over(meter, _BUCKET, opening)
        case Gcra():
            return _over(meter, _GCRA, opening)
        case LeakyBucket():
            return _over(meter, _LEAKY, opening)
        case LifetimeQuota():
            return _over(meter, _LIFETIME, opening)
        case MovingWindow():
            return _over(meter, _MOVING, opening)
        case SlidingCounter():
            return _over(meter, _SLIDING, opening)
        case OnWallClock():
            return _over(meter, _WALL, opening)
        case Window():
            return _over(meter, _WINDOW, opening)
        case Slots():
            return _over(meter, _SLOTS, opening, room=SlotRoom)
        case _:
            return None


def lent(account: LimitAccount, *, of: MakeLent = LentBucket) -> LentBucket:
    """The account's token bucket, as one of which parts can be lent from now on; TypeError."""
    match account.counted:
        case LentBucket() as meter:
            return meter
        case TokenBucket() as bucket:
            meter = of(bucket)
            account.counted = meter
            if isinstance(account.meter, Room):
                account.meter.replaced(meter, _LENT, algorithm=_named(_LENT, account.limit.unit))
            else:
                account.meter = meter
            return meter
        case other:
            raise TypeError(f"{type(other).__name__} can't be lent")


def as_new(limit: LimitSet, stood: Stood, at_ns: int, wall: WallClock) -> bool:
    """Whether a meter that goes on from there answers at ``at_ns`` like a new one, for ever."""
    meter = meter_of(limit, at_ns, wall)
    opening = Opening(
        key=_NOBODY_S, unit=limit.unit, stood=stood, now_ns=at_ns, asked=lambda _: None
    )
    kept = opened(meter, opening)
    return (meter if kept is None else kept.meter).untouched(at_ns)


def _over(meter: M, claims: Claims[M], opening: Opening, *, room: type[Room[M]] = Room) -> Kept:
    algorithm = _named(claims, opening.unit)
    stood, now_ns = opening.stood, opening.now_ns
    unanswered: Sequence[Unanswered] = ()
    if stood is not None and stood.algorithm == algorithm:
        with suppress(ValueError):
            claims.restore(meter, stood.claim, now_ns)
            unanswered = opening.unanswered
    if opening.strict:
        return Strict(
            meter,
            claims,
            key=opening.key,
            algorithm=algorithm,
            now_ns=now_ns,
            asked=opening.asked,
            unanswered=unanswered,
        )
    return room(
        meter,
        claims,
        key=opening.key,
        algorithm=algorithm,
        now_ns=now_ns,
        asked=opening.asked,
        holding=opening.holding,
    )


def _named(claims: Claims[M], unit: str) -> str:
    return _name(claims.algorithm, unit)


@lru_cache(maxsize=4096)
def _name(algorithm: str, unit: str) -> str:
    """One object for all rooms: there may be a million of them."""
    return f"{algorithm} of {unit}"
