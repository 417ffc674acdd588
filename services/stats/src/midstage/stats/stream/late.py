"""What comes late for closed periods, told in the log while the period after them is open.

Sums are absolute over the rows since the last seal, and only those that changed are told: said
again after a restart, the log has them already. The next statement rests on the rows themselves.
"""

import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from midstage.chassis.logs import logger
from midstage.contracts.billing import Line, UsageAdjusted, late_key
from midstage.contracts.errors import UnavailableError
from midstage.stats.decide.billing import Account, Open, adjust
from midstage.stats.stream.gaps import BillingLog

LOOK_S = 30.0
MOST_LINES = 2_000
"""Of one fact, so that its record stays below 1 MiB."""
_logger = logger(__name__)


class Rows(Protocol):
    """How far the ledger has come."""

    def row(self) -> int:
        """The number of its last row."""
        ...


class Lates:
    """A loop that tells what came late for this shard."""

    name = "late"

    def __init__(
        self,
        *,
        log: BillingLog,
        rows: Rows,
        opened: Callable[[int], Open | None],
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        shard: int,
    ) -> None:
        """``opened`` gives what came late up to a row."""
        self._log = log
        self._rows = rows
        self._opened = opened
        self._now = now
        self._new_id = new_id
        self._shard = shard
        self._looked_at = -1

    def run(self, stop: threading.Event) -> None:
        """Look until ``stop`` is set."""
        while not stop.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Tell what is new; where the log is away, the next look tells it."""
        row = self._rows.row()
        if row == self._looked_at or self._log.caught_up() is not None:
            return
        found = self._opened(row)
        if found is None or all(self._told(fact) for fact in self._facts(found)):
            self._looked_at = row

    def _facts(self, found: Open) -> list[UsageAdjusted]:
        lines: defaultdict[str, list[Line]] = defaultdict(list)
        for late in found.late:
            lines[late.period].append(late.line)
        return [
            UsageAdjusted(
                period=period,
                since=found.since,
                shard=self._shard,
                after_row=found.after_row,
                upto_row=found.upto_row,
                revision=1,
                lines=tuple(held[at : at + MOST_LINES]),
                at=self._now(),
            )
            for period, held in sorted(lines.items())
            for at in range(0, len(held), MOST_LINES)
        ]

    def _told(self, fact: UsageAdjusted) -> bool:
        key = late_key(fact.period, self._shard)
        if not adjust(self._log.states().get(key, Account()), fact):
            return True
        try:
            self._log.execute(
                key=key,
                command_id=self._new_id(),
                payload=b"late",
                decide=lambda account: adjust(account, fact),
            )
        except UnavailableError as error:
            _logger.warning("late_not_told", key=key, reason=str(error))
            return False
        return True
