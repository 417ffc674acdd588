"""Cases of Doorman: who gets how much of a capacity that is too small."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, Shape
from midstage.throttle.conformance.shapes import CaseError, Number, compared
from midstage.throttle.decide.leasing import Apportioning, Asking, Lease, Leases

_TERM_NS: Final = 300_000_000_000
_INVARIANT: Final = "sum(has) <= capacity"
_BOUNDED: Final = (Apportioning.FAIR_SHARE, Apportioning.PROPORTIONAL_SHARE)


class _Client(Shape, frozen=True, kw_only=True):
    id: str
    wants: Number
    has: Number = 0
    subclients: int = 1
    gets: Number | None = None


class _Case(Shape, frozen=True, kw_only=True):
    algorithm: Apportioning = Apportioning.FAIR_SHARE
    capacity: Number = 0
    preloaded: bool = False
    clients: Sequence[_Client] = ()
    expect: Mapping[str, object] = {}


_CASE: Final = msgspec.json.Decoder(_Case)


def judged(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """Clients ask one after the other; after each the leases fit into the capacity."""
    del configs
    case = _CASE.decode(raw)
    found: dict[str, object] = {}
    if "invariant" in case.expect:
        found["invariant"] = _INVARIANT if _holds() else "sum(has) > capacity"
    differing = list(compared(case.expect, found))
    return [*differing, *_asked(case)]


def _asked(case: _Case) -> Iterator[Differing]:
    leases = Leases(capacity=_exact(case.capacity), apportioning=case.algorithm, term_ns=_TERM_NS)
    if case.preloaded:
        for each in case.clients:
            lease = Lease(
                has=_exact(each.has),
                wants=_exact(each.wants),
                holders=each.subclients,
                until_ns=_TERM_NS,
            )
            leases.put(each.id, lease)
    for each in case.clients:
        if each.subclients < 1:
            raise CaseError(f"client {each.id} has no subclients")
        lease = leases.ask(
            Asking(holder=each.id, wants=_exact(each.wants), holders=each.subclients), 0
        )
        if each.gets is not None:
            wanted, got = {each.id: float(each.gets)}, {each.id: float(lease.has)}
            yield from compared(wanted, got)
        if case.algorithm in _BOUNDED and leases.outstanding > leases.capacity:
            yield Differing(field="invariant", expected=_INVARIANT, found=str(leases.outstanding))


def _holds() -> bool:
    """In every order of three clients that come twice, with wants around a share."""
    for algorithm, wants in itertools.product(_BOUNDED, itertools.product((0, 50, 200), repeat=3)):
        for order in itertools.permutations(range(3)):
            leases = Leases(capacity=Fraction(120), apportioning=algorithm, term_ns=_TERM_NS)
            for client in (*order, *reversed(order)):
                wanted = Fraction(wants[client])
                leases.ask(Asking(holder=str(client), wants=wanted, holders=client + 1), 0)
                if leases.outstanding > leases.capacity:
                    return False
    return True


def _exact(number: Number) -> Fraction:
    return Fraction(str(number))
