"""What became of this process's own writes: refused ones, conflicts, and fields fought over.

Whatever does not come through is tried again later and later, up to 30 s; fields that come back
each time are corrected later and later, up to 5 min. A refusal is of the spec that was tried: the
next one is tried at once. Nothing of it is kept over a restart.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from midstage.deploy.model import Fight, Refusal

LONGEST_S = 30.0
CONFLICTS = 5
"""So many conflicts in a row are told and back off: usually a look at newer facts mends one."""
FIGHT_S = 5.0
LONGEST_FIGHT_S = 300.0
FORGOTTEN_AFTER_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    target: str
    carries: int
    refusals: int
    conflicts: int
    words: str
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Corrected:
    drift: tuple[str, ...]
    times: int
    at_s: float
    until_s: float


class Outcomes:
    """One thread writes, any may look."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Nothing was tried yet."""
        self._monotonic = monotonic
        self._failed: Mapping[str, _Failed] = {}
        self._corrected: Mapping[str, _Corrected] = {}

    def refused(self, app: str, target: str, carries: int, words: str) -> None:
        """The cluster refused to write ``target``."""
        before = self._before(app, target, carries)
        times = before.refusals + 1 if before else 1
        self._fail(app, target, carries, words, refusals=times, conflicts=0)

    def conflicted(self, app: str, target: str, carries: int, words: str) -> None:
        """``target`` was another than it was believed to be."""
        before = self._before(app, target, carries)
        times = before.conflicts + 1 if before else 1
        refusals = before.refusals if before else 0
        self._fail(app, target, carries, words, refusals=refusals, conflicts=times)

    def done(self, app: str, target: str) -> None:
        """``target`` was written."""
        failed = self._failed.get(app)
        if failed is not None and failed.target == target:
            self._failed = {each: of for each, of in self._failed.items() if each != app}

    def corrected(self, name: str, drift: tuple[str, ...]) -> None:
        """Fields of ``name`` that somebody else had set were set again."""
        now_s = self._monotonic()
        known = self._corrected.get(name)
        again = known is not None and known.drift == drift
        times = known.times + 1 if known is not None and again else 1
        fights_s = min(LONGEST_FIGHT_S, FIGHT_S * 2 ** min(times - 1, 10))
        kept = {
            each: of for each, of in self._corrected.items() if now_s - of.at_s < FORGOTTEN_AFTER_S
        }
        self._corrected = {
            **kept,
            name: _Corrected(drift=drift, times=times, at_s=now_s, until_s=now_s + fights_s),
        }

    def may_write(self, app: str, carries: int) -> bool:
        """Whether it is time to try again."""
        failed = self._failed.get(app)
        if failed is None or failed.carries != carries:
            return True
        return self._monotonic() >= failed.until_s

    def refusal(self, app: str, carries: int) -> Refusal | None:
        """What the cluster says of the writes that carry out this version; None: they go well."""
        failed = self._failed.get(app)
        if failed is None or failed.carries != carries:
            return None
        if not failed.refusals and failed.conflicts < CONFLICTS:
            return None
        return Refusal(words=failed.words, times=failed.refusals)

    def fights(self, names: Iterable[str]) -> Mapping[str, Fight]:
        """The fights for the fields of these."""
        now_s = self._monotonic()
        return {
            name: Fight(drift=of.drift, times=of.times, waits=now_s < of.until_s)
            for name in names
            if (of := self._corrected.get(name)) is not None and now_s - of.at_s < FORGOTTEN_AFTER_S
        }

    def _before(self, app: str, target: str, carries: int) -> _Failed | None:
        failed = self._failed.get(app)
        is_same = failed is not None and (failed.target, failed.carries) == (target, carries)
        return failed if is_same else None

    def _fail(
        self, app: str, target: str, carries: int, words: str, *, refusals: int, conflicts: int
    ) -> None:
        tries = refusals or max(0, conflicts - CONFLICTS + 1)
        waits_s = min(LONGEST_S, 2.0 ** min(tries - 1, 10)) if tries else 0.0
        failed = _Failed(
            target=target,
            carries=carries,
            refusals=refusals,
            conflicts=conflicts,
            words=words,
            until_s=self._monotonic() + waits_s,
        )
        self._failed = {**self._failed, app: failed}
