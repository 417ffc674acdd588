"""A period is closed: each shard seals, then the statement goes into the log, piece by piece.

Seals stay as they are, so whoever closes again, or at the same time, or after a crash anywhere,
makes the same statement. Everybody asks the shards in one order, so the first of them says which
time a period has. The fact that closes it is the last to be appended, and the log takes one; until
it is there the period is open.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from midstage.contracts.billing import OpenGap, PeriodClosed, period_key, piece_key
from midstage.contracts.errors import RefusedError
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.stats.decide.billing import Account, Part, close, period_of, put
from midstage.stats.decide.periods import CONFLICT, Accepted, Period, complete, over
from midstage.stats.stream.gaps import BillingLog
from midstage.stats.views.statements import accepted_in, canonical, closing, digest, pieces

NOT_FOUND = 404


class Shard(Protocol):
    """One shard's periods: this process's own, or another's over HTTP."""

    def gaps(self, period: Period) -> tuple[OpenGap, ...]:
        """What it may lack of the period."""
        ...

    def seal(self, period: Period, accepted: Accepted, after: str | None) -> Part:
        """Seal after the period that was closed last, or give what was sealed before."""
        ...

    def part(self, name: str) -> Part | None:
        """What was kept when it was sealed."""
        ...

    def remade(self, name: str) -> Part | None:
        """The same, made again from raw rows."""
        ...


class Closing:
    """Closes periods, and gives their statements; any thread may ask."""

    def __init__(
        self,
        *,
        log: BillingLog,
        shards: Sequence[Shard],
        now: Callable[[], datetime],
        reached: Failpoint = nothing,
    ) -> None:
        """``shards`` are all there are by their numbers: in another order two could each seal
        a part of another period, and neither could be closed.
        """
        self._log = log
        self._shards = shards
        self._now = now
        self._reached = reached

    def close(self, period: Period, accepted: Accepted, command_id: str) -> PeriodClosed:
        """Close the period; closed before, it is as it was.

        RefusedError where it is not over, not complete, not the next one, or closed with another
        time. UnavailableError where a shard or the log is away; asking again is harmless.
        """
        held = self._closed(period.name)
        if held is not None:
            if period_of(held) != period:
                raise RefusedError(f"{period.name} is closed with another time", status=CONFLICT)
            return held
        over(period, now=self._now())
        found = [gap for shard in self._shards for gap in shard.gaps(period)]
        complete(period, found, accepted)
        after = self._last()
        parts = [shard.seal(period, accepted, after) for shard in self._shards]
        self._reached("closing:sealed")
        # sealed by somebody before, over gaps that may be filled by now: they are on the statement
        complete(period, [gap for part in parts for gap in part.gaps], accepted)
        return self._append(period, parts, accepted, command_id)

    def statement(self, name: str, *, from_rows: bool) -> bytes:
        """The statement's bytes; ``from_rows``: made again from the raw rows of all shards.

        RefusedError (404) where the period is not closed, (409) where other bytes come out than
        those that were put down.
        """
        closed = self._closed(name)
        if closed is None:
            raise RefusedError(f"there is no closed period {name!r}", status=NOT_FOUND)
        made = [shard.remade(name) if from_rows else shard.part(name) for shard in self._shards]
        parts = [part for part in made if part is not None]
        statement = canonical(period_of(closed), parts, accepted_in(closed))
        if digest(statement) != closed.sha256:
            raise RefusedError(
                f"the statement of {name} can't be made again: it was {closed.sha256}, "
                f"{len(parts)} shards give {digest(statement)}; run `midstage stats recount`",
                status=CONFLICT,
            )
        return statement

    def _append(
        self, period: Period, parts: Sequence[Part], accepted: Accepted, command_id: str
    ) -> PeriodClosed:
        anything = any(part.gaps for part in parts)
        signed = accepted if anything else Accepted()
        statement = canonical(period, parts, signed)
        for piece in pieces(period.name, statement):
            self._log.execute(
                key=piece_key(period.name, piece.statement_sha256, piece.piece),
                command_id=f"{command_id}/{piece.statement_sha256}/{piece.piece}",
                payload=piece.content.encode(),
                decide=partial(put, piece=piece),
            )
            self._reached("closing:piece")
        closed = closing(period, parts, signed, statement, at=self._now())
        self._log.execute(
            key=period_key(period.name),
            command_id=command_id,
            payload=closed.sha256.encode(),
            decide=partial(close, closed=closed),
        )
        self._reached("closing:appended")
        return self._closed(period.name) or closed

    def _last(self) -> str | None:
        """The period that was closed last."""
        closed = [one.closed for one in self._log.states().values() if one.closed is not None]
        return max(closed, key=lambda one: one.until).period if closed else None

    def _closed(self, name: str) -> PeriodClosed | None:
        return self._log.states().get(period_key(name), Account()).closed
