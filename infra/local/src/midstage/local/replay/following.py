"""What the log says of an application's replicas just now, read on at each look; no group, no API.

Unknown until everything that stood in the log at the beginning is folded, and while the broker is
away. The looks of one object are one thread's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from midstage.contracts.errors import UnavailableError
from midstage.contracts.inventory import Inventory
from midstage.contracts.scaling import ScaleDecided
from midstage.eventlog.log import BEGINNING, Log, Partition, Reader, Record
from midstage.local.replay import steps
from midstage.local.replay.told import TOPICS, Topics, decisions_fold, pod_facts

_MOST: Final = 10_000
_ROUNDS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Pods that serve, the count that was decided last, and that decision (None: none yet)."""

    serving: int
    wanted: int | None
    decision: ScaleDecided | None


class Following:
    """Follows one application."""

    def __init__(self, log: Log, *, app: str, topics: Topics = TOPICS) -> None:
        """Connect with the first look."""
        self._log = log
        self._app = app
        self._topics = topics
        self._inventory = Inventory()
        self._pod = pod_facts(topics.cluster)
        self._decisions = decisions_fold(topics.scaling)
        self._reader: Reader | None = None
        self._goal: Mapping[Partition, int] = {}

    def fleet(self) -> Fleet | None:
        """How the application stands; None: that is not known now. Never waits for long."""
        try:
            current = self._caught_up(self._reader or self._opened())
        except UnavailableError:
            return None
        return self._fleet() if current else None

    def close(self) -> None:
        """Let go of the connection; a later look begins anew."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _opened(self) -> Reader:
        names = (self._topics.cluster.name, self._topics.scaling.name)
        places = [place for name in names for place in self._log.partitions(name)]
        self._goal = self._log.ends(places)
        self._reader = self._log.reader(dict.fromkeys(places, BEGINNING))
        return self._reader

    def _caught_up(self, reader: Reader) -> bool:
        for _ in range(_ROUNDS):
            records = reader.poll(most=_MOST, timeout_s=0.0)
            if not records:
                break
            for record in records:
                self._fold(record)
        at = reader.positions()
        return all(at[place] >= end for place, end in self._goal.items())

    def _fold(self, record: Record) -> None:
        if record.partition.topic == self._topics.scaling.name:
            self._decisions.apply(record)
            return
        fact = self._pod(record)
        if fact is not None:
            self._inventory.apply(fact)

    def _fleet(self) -> Fleet:
        _, decided = self._decisions.state(self._app)
        last = decided[-1] if decided else None
        return Fleet(
            serving=sum(steps.serves(pod) for pod in self._inventory.pods_of(self._app)),
            wanted=None if last is None else last.replicas,
            decision=last,
        )
