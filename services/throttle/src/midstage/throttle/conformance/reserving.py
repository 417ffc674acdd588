"""Cases of reserve and settle, of slots, and of what is paid for afterwards."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, Shape
from midstage.throttle.conformance.limits import CONCURRENCY, UNITS, Base, accounts, charges
from midstage.throttle.conformance.shapes import CaseError, Number, compared, ns
from midstage.throttle.decide.imported.counting import Counters
from midstage.throttle.decide.imported.reading import domains_of
from midstage.throttle.decide.reserving import Reservations
from midstage.throttle.model.account import Account
from midstage.throttle.model.imported import Descriptor, Request

_NEVER_S: Final = 10**6


class Step(Shape, frozen=True, kw_only=True):
    """Something that is asked, and what is expected of it."""

    op: str
    at: Number = 0
    id: str = ""
    units: int | None = None
    n: int = 1
    allow: bool | None = None
    by: str | None = None
    remaining: int | None = None
    balance: int | None = None


class Case(Shape, frozen=True, kw_only=True):
    """Steps over the limits of the base, or sums that come out of them."""

    base: Base = Base()
    steps: Sequence[Step] = ()
    expect: Mapping[str, object] = {}


class Story:
    """The reservations of one customer, step by step."""

    def __init__(self, base: Base) -> None:
        """Nothing is used."""
        self.accounts = accounts(base)
        ttl_s = _NEVER_S if base.reservation_ttl_s is None else base.reservation_ttl_s
        self._reservations: Reservations[Account] = Reservations(
            ttl_ns=ns(ttl_s), remember_ns=ns(86_400)
        )
        self._running: dict[str, int] = {}
        self._count = 0
        self._now_ns = 0
        self.admitted = 0
        self._begun = self.left(0)

    def told(self, step: Step) -> Mapping[str, object]:
        """What comes of a step."""
        self._now_ns = now_ns = ns(step.at)
        refused: Account | None = None
        match step.op:
            case "reserve" | "check" | "start" | "acquire":
                for _ in range(step.n):
                    refused = self.reserve(step.id, step.units, now_ns) or refused
            case "settle":
                self.settle(step.id, step.units or 0, now_ns)
            case "end" | "release":
                self.end(step, now_ns)
            case "expire" | "tick" | "wait":
                self._reservations.expire(now_ns)
            case other:
                raise CaseError(f"op {other!r} is not known")
        left = self.left(now_ns)
        return {
            "allow": refused is None,
            "by": None if refused is None else refused.name,
            "remaining": left,
            "balance": left,
        }

    def reserve(self, request: str, units: int | None, now_ns: int) -> Account | None:
        """A reservation; who has no name gets one, since each is a request of its own."""
        self._count += 1
        wanted = 1 if units is None else units
        request = request or f"unnamed {self._count}"
        held = charges(self.accounts, wanted)
        refused = self._reservations.reserve(request, self.accounts, held, now_ns)
        if refused is None:
            self.admitted += wanted
            self._running.setdefault(request, wanted)
        return refused

    def end(self, step: Step, now_ns: int) -> None:
        """The end of a request, or of the ``n`` oldest: it used what it had reserved."""
        for request in [step.id] if step.id else list(self._running)[: step.n]:
            reserved = self._running.pop(request, 1)
            self.settle(request, reserved if step.units is None else step.units, now_ns)

    def settle(self, request: str, units: int, now_ns: int) -> None:
        """What it really was."""
        self._reservations.settle(request, self.accounts, charges(self.accounts, units), now_ns)

    def left(self, now_ns: int) -> int:
        """Of the limit on units, where there is one, else of the first."""
        by_name = {account.name: account for account in self.accounts}
        account = by_name.get(UNITS) or by_name.get(CONCURRENCY) or self.accounts[0]
        return account.meter.remaining(now_ns)

    @property
    def charged(self) -> int:
        """What is used, all in all."""
        return self._begun - self.left(self._now_ns)


_CASE: Final = msgspec.json.Decoder(Case)


def judged(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """Step by step; then the sums."""
    del configs
    case = _CASE.decode(raw)
    return list(of_steps(case))


def of_steps(case: Case) -> Iterator[Differing]:
    """What of a case does not come out."""
    story = Story(case.base)
    for number, step in enumerate(case.steps, 1):
        wanted = {
            name: value
            for name in ("allow", "by", "remaining", "balance")
            if (value := getattr(step, name)) is not None
        }
        yield from compared(wanted, story.told(step), f"step {number}: ")
    found: dict[str, object] = {
        "max_admitted_units": story.admitted,
        "admitted_units": story.admitted,
        "charged": story.charged,
        "remaining": story.left(ns(case.steps[-1].at if case.steps else 0)),
    }
    if case.base.cost_after is not None:
        served = _served_serially(case.base, case.base.cost_after)
        found |= {"max_served_units_serial": served, "served_units_serial": served}
    if case.base.cost is not None:
        found |= _through_envoy(case)
    yield from compared(case.expect, found)


def _served_serially(base: Base, cost: int) -> int:
    """One call after the other, each paid for when it is over, until one is refused."""
    story, served = Story(base), 0
    while story.reserve(f"call {served}", 0, 0) is None and served <= 10 * (base.limit or 0):
        story.settle(f"call {served}", cost, 0)
        served += cost
    return served


def _through_envoy(case: Case) -> Mapping[str, object]:
    """Envoy's pattern: 0 hits on the way in, the real ones when the stream is over."""
    codes = case.expect.get("http_codes")
    count = len(codes) if isinstance(codes, list) else 0
    rule = {"unit": "minute", "requests_per_unit": case.base.limit or 0}
    content = {"domain": "d", "descriptors": [{"key": "k", "rate_limit": rule}]}
    domains, counters = domains_of([("rules", content)]), Counters()
    statuses, remaining = [], []
    for _ in range(count):
        before = counters.answer(domains, _hits(0), 0)
        statuses.append(429 if before.over else 200)
        remaining.append(before.statuses[0].remaining)
        if not before.over:
            counters.answer(domains, _hits(case.base.cost or 0), 0)
    return {"http_codes": statuses, "x_ratelimit_remaining": remaining}


def _hits(hits: int) -> Request:
    return Request(domain="d", descriptors=(Descriptor(entries=(("k", "v"),), hits=hits),))
