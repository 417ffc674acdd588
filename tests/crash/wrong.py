"""Shards that are wrong on purpose: a run that can't tell them from right ones proves nothing.

``CRASH_WRONG`` says how: positions kept apart from the rows, the offsets of a group trusted, or
hashes claimed before their rows are durable. Each is what other systems do.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, TopicPartition
from numpy.typing import NDArray

from midstage.chassis.start import start
from midstage.contracts.topics import EDGES, REQUESTS
from midstage.eventlog.log import Partition
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.seen import HashFiles
from midstage.stats.config import from_env
from midstage.stats.main import SERVICE, compose
from midstage.stats.model import Batch, Committed
from midstage.stats.stream.counting import Ledger, Seen
from midstage.testkit.waiting import within
from tests.stats.swapped import Swapped

APART, GROUP, CLAIMED = "positions apart", "group offsets", "claimed first"
INSERTED = "ledger:inserted"
COMMITS_WITHIN_S = 10.0
WRONGS = (APART, GROUP, CLAIMED)


class PositionsApart(DuckdbLedger):
    """Keeps the next positions in a file of their own, which it writes before the rows."""

    def __init__(self, right: DuckdbLedger, file: Path) -> None:
        self.__dict__ = right.__dict__
        self._file = file

    def positions(self) -> Mapping[Partition, int]:
        said = json.loads(self._file.read_text()) if self._file.exists() else []
        return {Partition(topic=topic, number=number): at for topic, number, at in said}

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        after = {**self.positions(), **ends}
        self._file.write_text(
            json.dumps([[one.topic, one.number, at] for one, at in after.items()])
        )
        return super().commit(batch, begins={}, ends=ends)


class GroupOffsets(DuckdbLedger):
    """Trusts a group's offsets, which move when records are handed over, as by auto-commit."""

    def __init__(self, right: DuckdbLedger, kafka: str, group: str) -> None:
        self.__dict__ = right.__dict__
        said = {"bootstrap.servers": kafka, "group.id": group, "enable.auto.commit": False}
        self._group = Consumer(said)

    def positions(self) -> Mapping[Partition, int]:
        names = (REQUESTS, EDGES)
        asked = [TopicPartition(topic.name, n) for topic in names for n in range(topic.partitions)]
        return {
            Partition(topic=one.topic, number=one.partition): one.offset
            for one in self._group.committed(asked, timeout=30)
            if one.offset >= 0
        }

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        if ends:
            after = [TopicPartition(one.topic, one.number, at) for one, at in ends.items()]
            self._group.commit(offsets=after, asynchronous=True)  # the other way waits for ever
            within(COMMITS_WITHIN_S, lambda: self._moved(after))
        return super().commit(batch, begins={}, ends=ends)

    def _moved(self, wanted: Sequence[TopicPartition]) -> bool:
        """Whether the group is there; one who can't know dies, as a crash at this line."""
        held = self._group.committed(list(wanted), timeout=COMMITS_WITHIN_S)
        return all(one.offset >= at.offset for one, at in zip(held, wanted, strict=True))


class ClaimedFirst:
    """Puts a hash down when it is asked for, before its row is durable."""

    def __init__(self, right: HashFiles, file: Path) -> None:
        self._right = right
        self._file = file
        self._claimed = set(_pairs(np.fromfile(file, np.uint64))) if file.exists() else set()

    def known(self, marks: NDArray[np.uint64]) -> NDArray[np.bool_]:
        claimed = [pair in self._claimed for pair in _pairs(marks.ravel())]
        found = self._right.known(marks) | np.array(claimed, np.bool_)
        self._claimed.update(_pairs(marks.ravel()))
        with self._file.open("ab") as file:
            file.write(marks.tobytes())
        return found

    def absorb(self, marks: NDArray[np.uint64], *, row: int) -> None:
        self._right.absorb(marks, row=row)

    def mark(self) -> int:
        return self._right.mark()


class Holding(Swapped):
    """Knows whether a client's rows are in the commit that goes on."""

    rows = False

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        self.rows = bool((batch.rows.seq == 0).any())
        return super().commit(batch, begins=begins, ends=ends)


def main(env: Mapping[str, str], *, reached: Callable[[str], None]) -> int:
    """A shard with one adapter swapped."""
    settings = from_env(env)
    wrong, beside = env["CRASH_WRONG"], settings.ledger_file.parent
    holding: list[Holding] = []

    def ledger(right: DuckdbLedger) -> Ledger:
        match wrong:
            case "positions apart":
                made: Ledger = PositionsApart(right, beside / "positions.json")
            case "group offsets":
                made = GroupOffsets(right, settings.kafka, f"wrong-{beside.name}")
            case _:
                made = right
        holding.append(Holding(made))
        return holding[-1]

    def reached_with_rows(place: str) -> None:
        """Who dies while it commits beats or facts loses nothing, and would not be found out."""
        if place != INSERTED or any(one.rows for one in holding):
            reached(place)

    def seen(right: HashFiles) -> Seen:
        return ClaimedFirst(right, beside / "claimed") if wrong == CLAIMED else right

    return start(
        SERVICE,
        lambda: compose(settings, reached=reached_with_rows, swapped=ledger, seen_swapped=seen),
    )


def _pairs(numbers: NDArray[np.uint64]) -> list[tuple[int, int]]:
    return [(high, low) for high, low in numbers.reshape(-1, 2).tolist()]
