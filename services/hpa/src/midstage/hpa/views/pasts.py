"""The past of each application that has a forecast: 15 days of slots, 8.7 KB each.

Of each slot the larger of what records say, so a record seen twice, late, or out of order changes
nothing, and it does not matter who wrote it. What it makes of a past is kept for its hour.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from midstage.contracts.forecast import Forecast, ForecastInput
from midstage.contracts.peaks import SLOT_S, SLOTS_A_DAY, PeaksObserved, day_of
from midstage.contracts.policy import Measure, Policy
from midstage.hpa.decide.forecast.floor import measure_of
from midstage.hpa.decide.forecast.foreseen import Foreseen, boundary, foreseen, looks
from midstage.hpa.decide.forecast.seasons import SLOTS, UNKNOWN, Column, packed, unpacked
from midstage.hpa.decide.situation import COLD_START_S

AHEAD: Final = timedelta(seconds=60)
_RING: Final = SLOTS + 24
"""What is looked at, and as much as may come while the same is looked at."""
_SWEEP_EACH: Final = 10_000
_Packed = npt.NDArray[np.uint16]
_Of = tuple[str, Measure]


@dataclass(slots=True, kw_only=True)
class _Past:
    """``ring`` holds the slots up to ``newest`` by their number, each one higher; 0 is unknown.

    So the larger of two is what is known of both.
    """

    newest: int
    ring: _Packed
    looked: tuple[Forecast, tuple[int, int]] | None = None
    foreseen: Foreseen | None = None

    def merge(self, first: int, values: _Packed) -> bool:
        """Take in the slots from ``first`` on; whether more is known of their day than they say."""
        said = np.zeros(SLOTS_A_DAY, dtype=np.uint16)
        np.add(values, 1, out=said[: len(values)])  # what is unknown overflows to 0
        known = np.flatnonzero(said)
        if not len(known):
            return False
        self._make_room(first + int(known[-1]))
        lacks = False
        for begin, held in self._views(first, first + SLOTS_A_DAY):
            new = said[begin - first : begin - first + len(held)]
            made = self.foreseen
            if made is not None and (new > held)[: max(0, made.boundary - begin)].any():
                self.foreseen = None
            np.maximum(held, new, out=held)
            lacks = lacks or bool((held > new).any())
        return lacks

    def of(self, first: int, end: int) -> _Packed:
        """The slots from ``first`` to before ``end``; those that are not held are unknown."""
        found = np.full(end - first, UNKNOWN, dtype=np.uint16)
        for begin, held in self._views(first, end):
            np.subtract(held, 1, out=found[begin - first : begin - first + len(held)])
        return found

    def column(self, end: int) -> Column:
        """All that is looked at before slot ``end``."""
        return unpacked(self.of(end - SLOTS, end))

    def _views(self, first: int, end: int) -> Iterator[tuple[int, _Packed]]:
        """The parts of the ring with these slots, as far as it holds them, each with its first."""
        begin, end = max(first, self.newest - _RING + 1), min(end, self.newest + 1)
        while begin < end:
            at = begin % _RING
            length = min(end - begin, _RING - at)
            yield begin, self.ring[at : at + length]
            begin += length

    def _make_room(self, newest: int) -> None:
        begin, self.newest = self.newest + 1, max(self.newest, newest)
        for _, held in self._views(begin, self.newest + 1):
            held.fill(0)


class Pasts:
    """Those of all applications; not for two threads at once."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._held: dict[_Of, _Past] = {}
        self._lacking: dict[_Of, set[int]] = {}
        self._until_sweep = _SWEEP_EACH

    def apply(self, fact: PeaksObserved, at: datetime) -> bool:
        """Take in a day's record that was written ``at``; whether it can be true."""
        day = day_of(fact)
        values = np.frombuffer(fact.peaks[: len(fact.peaks) // 2 * 2], dtype="<u2")
        if day is None or not 0 < len(values) <= SLOTS_A_DAY:
            return False
        first = day * SLOTS_A_DAY
        if (first + len(values)) * SLOT_S > (at + AHEAD).timestamp():
            return False
        of = (fact.app, fact.measure)
        past = self._held.get(of)
        if past is None:
            ring = np.zeros(_RING, dtype=np.uint16)
            past = self._held[of] = _Past(newest=first - 1, ring=ring)
        self._note(of, day, lacks=past.merge(first, values))
        self._sweep(at)
        return True

    def of(
        self, app: str, policy: Policy, *, cold_start_s: float | None, now: datetime
    ) -> ForecastInput | None:
        """What the past says of ``now``; None: nothing is known, or the policy has no forecast."""
        said, measure = policy.forecast, measure_of(policy)
        past = None if measure is None else self._held.get((app, measure))
        if said is None or past is None:
            return None
        cold_s = COLD_START_S if cold_start_s is None else cold_start_s
        before, looked = boundary(app, now), (said, looks(said, cold_s))
        made = past.foreseen
        if made is None or made.boundary != before or past.looked != looked:
            made = foreseen(past.column(before), said, cold_start_s=cold_s, before=before)
            past.looked, past.foreseen = looked, made
        return made.at(now)

    def knows(self, app: str, measure: Measure, slot: int) -> bool:
        """Whether anything is known of the slot."""
        past = self._held.get((app, measure))
        return past is not None and bool(past.of(slot, slot + 1)[0] != UNKNOWN)

    def lacking(
        self, app: str, measure: Measure, peaks: Mapping[int, float]
    ) -> tuple[PeaksObserved, ...]:
        """The records that the log lacks: ``peaks`` by slot, and what the newest ones left out."""
        past = self._held.get((app, measure))
        days = set(self._lacking.get((app, measure), ()))
        for slot, value in peaks.items():
            new = packed(np.array([value]))
            held = UNKNOWN if past is None else past.of(slot, slot + 1)[0]
            if held == UNKNOWN or new[0] > held:
                days.add(slot // SLOTS_A_DAY)
        return tuple(_record(app, measure, day, _whole(past, day, peaks)) for day in sorted(days))

    def _note(self, of: _Of, day: int, *, lacks: bool) -> None:
        """Whether the newest record of the day leaves out what is known."""
        if lacks:
            self._lacking.setdefault(of, set()).add(day)
        elif of in self._lacking:
            self._lacking[of].discard(day)
            if not self._lacking[of]:
                del self._lacking[of]

    def _sweep(self, at: datetime) -> None:
        """Now and then forget the pasts that are over."""
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = _SWEEP_EACH
        oldest = int(at.timestamp()) // SLOT_S - _RING
        for of in [of for of, past in self._held.items() if past.newest < oldest]:
            del self._held[of]
            self._lacking.pop(of, None)


def _whole(past: _Past | None, day: int, peaks: Mapping[int, float]) -> _Packed:
    """All that is known of a day."""
    first = day * SLOTS_A_DAY
    known = np.full(SLOTS_A_DAY, UNKNOWN, dtype=np.uint16)
    if past is not None:
        known = past.of(first, first + SLOTS_A_DAY)
    for slot, value in peaks.items():
        if slot // SLOTS_A_DAY == day:
            [new] = packed(np.array([value]))
            at = slot - first
            known[at] = new if known[at] == UNKNOWN else max(known[at], new)
    return known


def _record(app: str, measure: Measure, day: int, known: _Packed) -> PeaksObserved:
    used = np.flatnonzero(known != UNKNOWN)
    length = int(used[-1]) + 1 if len(used) else 0
    return PeaksObserved(
        app=app,
        measure=measure,
        day=datetime.fromtimestamp(day * SLOTS_A_DAY * SLOT_S, UTC),
        peaks=known[:length].astype("<u2").tobytes(),
    )
