"""A meter whose every admission stands in the log before it is answered: a strict limit's.

What passes is taken at once, so checks at the same time can't pass twice; whoever asked is told
when a claim that contains it was accepted. No claim takes anything ahead: it is the meter as it is.
All that came while one was under way go in the next one together. A claim names the requests that
are in it and may not have been told: whoever goes on from it gives back what was taken for those
that never passed, once, for the claim that says so names them no more.
"""

from collections.abc import Callable, Iterable
from typing import Final

from midstage.contracts.spends import LONGEST_REQUEST, MOST_UNANSWERED, Unanswered
from midstage.throttle.decide.claiming import Claiming, M_co
from midstage.throttle.decide.claims.claim import Claims, Standing
from midstage.throttle.model.account import Settlement
from midstage.throttle.model.limits import Key

NAMED_NS: Final = 120_000_000_000
"""A request is named for so long: by then it is known what became of it, or it never will be."""


class Strict(Claiming[M_co]):
    """A Meter over a meter, for one key."""

    __slots__ = (
        "_change",
        "_durable",
        "_named",
        "_sent",
    )

    def __init__(
        self,
        meter: M_co,
        claims: Claims[M_co],
        *,
        key: Key,
        algorithm: str,
        now_ns: int,
        asked: Callable[["Strict[M_co]"], None],
        unanswered: Iterable[Unanswered] = (),
    ) -> None:
        """``unanswered`` are in what ``meter`` counts, and their ends are not known yet.

        The others are as in ``Claiming``.
        """
        super().__init__(meter, claims, key=key, algorithm=algorithm, now_ns=now_ns, asked=asked)
        self._change = self._sent = self._durable = 0
        self._named = {each.request: each for each in unanswered}

    @property
    def change(self) -> int:
        """The number of the last thing that was counted."""
        return self._change

    @property
    def unanswered(self) -> tuple[Unanswered, ...]:
        """The requests that ``claim`` has to name: the oldest of them, where there are many."""
        return tuple(self._named.values())[:MOST_UNANSWERED]

    def is_durable(self, change: int) -> bool:
        """Whether the log has it and all before it."""
        return change <= self._durable

    def wait_for(self, change: int) -> None:
        """A check waits until that is durable."""
        if not self.is_durable(change):
            self._want()

    def claim(self, now_ns: int) -> tuple[int, Standing] | None:
        """No units ahead, and the claim that is to be written; None where there is nothing new."""
        self._wanted = False
        if self._is_retired or self._pending is not None or self._change == self._durable:
            return None
        self._pending = self._claims.of(self.meter, 0, now_ns, now_ns)
        self._sent, self._asked_ns = self._change, now_ns
        self._forget(now_ns)
        return 0, self._pending

    def at_rest(self, now_ns: int) -> Standing | None:
        """The meter as it is, if the log has all of it and nobody has asked since the last time."""
        is_idle = not (self._is_asked or self._wanted or self._is_retired or self._named)
        self._is_asked = False
        if not is_idle or self._pending is not None or self._change != self._durable:
            return None
        return self._claims.of(self.meter, 0, now_ns, now_ns)

    def last(self, now_ns: int) -> Standing | None:
        """The meter as it is, which is to be written; None where it is, or is on its way."""
        sent = self._durable if self._pending is None else self._sent
        if self._change == sent:
            return None
        self._pending = None
        claimed = self.claim(now_ns)
        return None if claimed is None else claimed[1]

    def accepted(self, claim: Standing) -> bool:
        """The log has it, and what stood there before stands no more; False: it is none of ours."""
        if claim != self._pending:
            return False
        self._pending = None
        self._durable = self._sent
        if self._change != self._durable:
            self._want()
        return True

    def answered(self, request: str) -> None:
        """Whoever asked for it knows: no claim has to name it."""
        self._named.pop(request, None)

    def give_back(self, back: Settlement) -> None:
        """It was taken and never passed; what came in for it since stays as it is."""
        self._claims.give_back(self.meter, back)
        self._named.pop(back.request, None)
        self._change += 1
        self._want()

    def ended(self, named: Unanswered, actual: int, *, now_ns: int, debt: int = 0) -> bool:
        """What became of a request that an owner before named: it used ``actual`` of its units.

        False where it is not in what the meter counts, or was settled before.
        """
        if self._named.get(named.request) != named:
            return False
        done = Settlement(
            reserved=named.units,
            actual=actual,
            taken_ns=named.taken_ns,
            now_ns=now_ns,
            debt=debt,
            request=named.request,
        )
        if actual < named.units:
            self.give_back(done)
        else:
            self.settle(done)
        return True

    def take(self, units: int, now_ns: int, request: str = "") -> bool:
        """As the meter; it is ``change`` that has to be durable before that is told."""
        if not self.meter.take(units, now_ns, request):
            return False
        self._is_asked = True
        if units > 0:
            self._change += 1
            if 0 < len(request) <= LONGEST_REQUEST:
                named = Unanswered(request=request, units=units, taken_ns=now_ns)
                self._named.setdefault(request, named)
        return True

    def undo(self, units: int, request: str = "") -> None:
        """In the step in which it was taken: nothing has happened."""
        self.meter.undo(units, request)
        if units > 0:
            self._change -= 1
            self._named.pop(request, None)

    def settle(self, done: Settlement) -> None:
        """What has happened counts at once, and is written down soon."""
        self.meter.settle(done)
        self._named.pop(done.request, None)
        if done.more:
            self._change += 1
            self._want()

    def remaining(self, now_ns: int) -> int:
        """Of the limit."""
        return self.meter.remaining(now_ns)

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """Of the limit."""
        return self.meter.wait_ns(units, now_ns)

    def _forget(self, now_ns: int) -> None:
        for request, named in list(self._named.items()):
            if now_ns - named.taken_ns < NAMED_NS:
                return
            del self._named[request]
