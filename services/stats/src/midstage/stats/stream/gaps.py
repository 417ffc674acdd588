"""Each gap of this shard's sources goes into the log once it is older than its grace.

What stands in the log is asked before anything is said, and the log takes the first of two that
say the same: so each gap is said once, over restarts too. While the log is away, none is lost.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from midstage.chassis.logs import logger
from midstage.contracts.billing import BillingFact, source_key
from midstage.contracts.errors import UnavailableError
from midstage.eventlog.versions import Answer
from midstage.stats.decide.billing import Account
from midstage.stats.decide.completeness import Look, Watch, decide, looked, watched
from midstage.stats.decide.told import Told

LOOK_S = 5.0
_logger = logger(__name__)


class BillingLog(Protocol):
    """The versioned log of billing."""

    def states(self) -> Mapping[str, Account]:
        """The account of every key."""
        ...

    def caught_up(self) -> str | None:
        """None when all is folded, else why not."""
        ...

    def execute(
        self,
        *,
        key: str,
        command_id: str,
        payload: bytes,
        decide: Callable[[Account], Sequence[BillingFact]],
    ) -> Answer[BillingFact]:
        """Decide, append, read back."""
        ...


class Gaps:
    """A loop that looks at the sources and says what is missing."""

    name = "gaps"

    def __init__(
        self,
        *,
        log: BillingLog,
        told: Callable[[], Sequence[Told]],
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        shard: int,
        grace: timedelta,
    ) -> None:
        """Look at what ``told`` gives; say what is missing for longer than ``grace``."""
        self._log = log
        self._told = told
        self._now = now
        self._new_id = new_id
        self._shard = shard
        self._grace = grace
        self._watch: Watch = {}

    def run(self, stop: threading.Event) -> None:
        """Look until ``stop`` is set."""
        while not stop.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Look once, and say what is new; where the log is away, the next look says it."""
        if self._log.caught_up() is not None:
            return
        now, sources = self._now(), self._told()
        self._watch = watched(self._watch, sources, now=now)
        states = self._log.states()
        for look in looked(sources, self._watch, shard=self._shard, now=now, grace=self._grace):
            key = source_key(look.told.source.name)
            if decide(states.get(key, Account()).declared, look):
                self._say(key, look)

    def _say(self, key: str, look: Look) -> None:
        try:
            answer = self._log.execute(
                key=key,
                command_id=self._new_id(),
                payload=b"look",
                decide=lambda account: decide(account.declared, look),
            )
        except UnavailableError as error:
            _logger.warning("gap_not_said", key=key, reason=str(error))
            return
        _logger.info("gaps_said", key=key, facts=len(answer.facts))
