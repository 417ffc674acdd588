"""What a holder knows of one customer: its leases, what its applications meet, and their demand."""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Final

from midstage.limits.errors import OwnerAwayError
from midstage.limits.lease import Book, Plan, Terms
from midstage.limits.wire import Ask, AskedPerCheck, Back, LeaseAnswer, LeaseTerms

NS_PER_S: Final = 1_000_000_000
HEADROOM: Final = 1.5
"""More is asked for than was used, so that a rising demand finds something."""
_MEASURED_S: Final = 0.2
_IDLE_ASKS: Final = 5
_MOST_MS: Final = 3_600_000
_MOST_UNITS: Final = 10**12
_MOST_NAMES: Final = 64
_is_unit: Final = re.compile(r"[a-z][a-z0-9_]{0,63}").fullmatch
_Counts = dict[str, dict[str, int]]


class Customer:
    """Grows with each application that is asked for."""

    def __init__(self, name: str, now_ns: int) -> None:
        """Nothing was asked yet."""
        self.name = name
        self.book = Book()
        self.plans: dict[str, Plan] = {}
        self.per_check: dict[str, AskedPerCheck] = {}
        self.asked_ns = now_ns - NS_PER_S
        self.idle = 0
        self._wants: dict[str, dict[str, float]] = {}
        self._one_by_one: dict[str, dict[str, int]] = {}

    def want(self, app: str, units: Mapping[str, int]) -> None:
        """The next question is for ``app`` too, for requests that use ``units``."""
        wants = {unit: float(max(1, wanted)) for unit, wanted in units.items()}
        self._wants.setdefault(app, {"requests": 1.0, **wants})

    def count(self, app: str, units: Mapping[str, int]) -> None:
        """A request was asked for at throttle itself: the demand for leases of ``app`` is known."""
        asked = self._one_by_one.setdefault(app, {})
        for unit, wanted in {"requests": 1, **units}.items():
            asked[unit] = asked.get(unit, 0) + wanted

    def knows(self, app: str) -> bool:
        """Whether an answer told of it."""
        return app in self.plans or app in self.per_check

    def is_idle(self) -> bool:
        """Whether nothing was asked of it for so long that its leases may go back."""
        return self.idle >= _IDLE_ASKS and not self.per_check

    def ask(self, now_ns: int) -> Ask:
        """The question for what was used since the last one, and some more."""
        seconds = max(_MEASURED_S, (now_ns - self.asked_ns) / NS_PER_S)
        demand, passed = self._demand()
        used = any(any(units.values()) for units in demand.values())
        self.idle = 0 if used else self.idle + 1
        for app, units in demand.items():
            before = self._wants.get(app, {})
            self._wants[app] = {
                unit: _rounded(units.get(unit, 0) / seconds, before.get(unit, 0.0))
                for unit in before.keys() | units.keys()
            }
        passed_ms, self.asked_ns = _ms(now_ns - self.asked_ns), now_ns
        holding = 0 if self.book.over(now_ns) else self.book.serial
        return Ask(
            customer=self.name,
            apps=self._wants,
            holding=holding,
            passed=passed,
            passed_ms=passed_ms,
        )

    def answered(self, answer: LeaseAnswer, *, sent_ns: int, now_ns: int) -> bool:
        """Go by an answer; False for one that is older than what it goes by.

        OwnerAwayError for one that contradicts itself.
        """
        names = {each["limit"] for each in answer["leases"]}
        if any(not names.issuperset(limits) for limits in answer["apps"].values()):
            raise OwnerAwayError(f"throttle's answer of {self.name!r} lacks what it names")
        terms = [_terms(each) for each in answer["leases"]]
        until_ns = sent_ns + answer["term_ms"] * 1_000_000
        if not self.book.renew(answer["serial"], terms, until_ns=until_ns, now_ns=now_ns):
            return False
        before, self.plans = self.plans, {}
        for app, limits in answer["apps"].items():
            plan = self.plans[app] = Plan(self.book, limits)
            if app in before:
                plan.inherit(before[app])
        self.per_check = dict(answer["per_check"])
        return True

    def back(self, now_ns: int) -> Back:
        """Give everything back."""
        self.book.fill(now_ns)
        left = {name: max(0, lease.left) for name, lease in self.book.leases.items()}
        _, passed = self._demand()
        back = Back(
            customer=self.name,
            holding=self.book.serial,
            left=left,
            passed=passed,
            passed_ms=_ms(now_ns - self.asked_ns),
        )
        self.book.until_ns = self.book.due_ns = now_ns
        return back

    def _demand(self) -> tuple[_Counts, _Counts]:
        """What was asked for since the last time, by application, and what passed by leases."""
        asked, self._one_by_one = self._one_by_one, {}
        passed: _Counts = {}
        for app, plan in self.plans.items():
            asked[app], used = plan.demand()
            told = {unit: min(each, _MOST_UNITS) for unit, each in used.items() if _is_unit(unit)}
            if told:
                passed[app] = dict(islice(told.items(), _MOST_NAMES))
        return asked, passed


def _ms(ns: int) -> int:
    return max(0, min(ns // 1_000_000, _MOST_MS))


def _terms(told: LeaseTerms) -> Terms:
    return Terms(**told)


def _rounded(used: float, wanted: float) -> float:
    return round(max(1.0, used * HEADROOM, wanted / 2), 3)


def charged(units: Mapping[str, int] | None) -> Mapping[str, int]:
    """One request where nothing else is said."""
    return units or {"requests": 1}
