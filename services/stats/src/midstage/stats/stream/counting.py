"""One chunk of arrivals becomes one commit of the ledger.

Positions are part of that commit, and are asked from the ledger at the start: nothing is kept in a
group. So a chunk is in the ledger as a whole with its positions, or will be read again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError
from midstage.contracts.topics import Topic
from midstage.eventlog.consume import Whole
from midstage.eventlog.log import BEGINNING, Log, Partition
from midstage.stats.decide import decide, hashes, named
from midstage.stats.model import Arrivals, Batch, Committed, Flags, Hashes, Known, Outgoing, Source
from midstage.stats.views.shards import ALONE, Shard

_log = logger(__name__)


class Ledger(Protocol):
    """Where counting is kept: a batch and its positions become durable together, or not at all.

    Commits are counted: the ``version`` of each is one above the last. Partial sums are values of
    their commit, sources are absolute states, rows have numbers from 1 on: so each of them can be
    written again under the same name and version, and nothing changes.
    """

    def positions(self) -> Mapping[Partition, int]:
        """The next offset of each partition that the ledger has seen."""
        ...

    def sources(self, names: frozenset[str]) -> Mapping[str, Source]:
        """The state of those that the ledger holds."""
        ...

    def row(self) -> int:
        """The number of the last row, 0 where there is none."""
        ...

    def unnumbered(self, after_row: int) -> Hashes:
        """The hashes of all rows above ``after_row`` whose source does not number its events."""
        ...

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        """Make it durable. A chunk out of step is refused with OutOfStepError.

        Without partitions it is a commit of its own: what leaves, and no chunk.
        """
        ...

    def unsent(self, most: int) -> Sequence[tuple[int, Outgoing]]:
        """The oldest messages that leave, by number: each until it is said to be sent."""
        ...

    def sent(self, upto: int) -> None:
        """All messages up to this number are in the log."""
        ...


class Seen(Protocol):
    """Which unnumbered events were counted; never ahead of the ledger."""

    def known(self, marks: Hashes) -> Flags:
        """Of each hash whether it is held."""
        ...

    def absorb(self, marks: Hashes, *, row: int) -> None:
        """These are in the ledger now, whose last row is ``row``."""
        ...

    def mark(self) -> int:
        """The row up to which everything is held durably; what lies above is read again."""
        ...


class Counting:
    """The effect of a chunk on the ledger; those in ``counted`` hear what is durable."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        seen: Seen,
        counted: Sequence[Callable[[Batch, Committed], None]],
    ) -> None:
        """Count into ``ledger``; ``seen`` is told first what lies above its mark."""
        self._ledger = ledger
        self._seen = seen
        self._counted = counted
        seen.absorb(ledger.unnumbered(seen.mark()), row=ledger.row())

    def __call__(self, chunk: Whole[Arrivals]) -> None:
        """Count the chunk; a chunk seen twice is refused by its positions, an event by its name."""
        arrivals = chunk.content
        known = Known(
            sources=self._ledger.sources(named(arrivals)),
            seen=self._seen.known(hashes(arrivals.rows)),
        )
        batch = decide(known, arrivals)
        committed = self._ledger.commit(batch, begins=chunk.begins, ends=chunk.ends)
        self._seen.absorb(batch.hashes, row=committed.row)
        for hear in self._counted:
            hear(batch, committed)


class LedgerPositions:
    """The positions of these topics, as the ledger's own commits moved them."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        log: Log,
        topics: Sequence[Topic],
        shard: Shard = ALONE,
        accept_lost: bool = False,
    ) -> None:
        """Read the shard's partitions of ``topics``.

        Where the log no longer holds what follows, ``accept_lost`` goes on at its oldest record.
        """
        self._shard = shard
        self._ledger = ledger
        self._log = log
        self._topics = topics
        self._accept_lost = accept_lost

    def starts(self) -> Mapping[Partition, int]:
        """Where the ledger ends; the oldest record of a partition that it has not seen.

        UnavailableError where a topic has not its partitions, or the log not what follows.
        """
        held = self._ledger.positions()
        _log.info(
            "counting_from",
            records={
                topic.name: sum(at for place, at in held.items() if place.topic == topic.name)
                for topic in self._topics
            },
        )
        owned = [place for topic in self._topics for place in self._owned(topic)]
        known = {place: held[place] for place in owned if place in held}
        return {**dict.fromkeys(owned, BEGINNING), **known, **self._past_what_is_lost(known)}

    def moved(self, ends: Mapping[Partition, int]) -> None:
        """Nothing is left to do: the effect's commit holds them."""

    def _owned(self, topic: Topic) -> Sequence[Partition]:
        places = self._log.partitions(topic.name)
        if self._shard.of > 1 and len(places) != topic.partitions:
            raise UnavailableError(
                f"topic {topic.name} has {len(places)} partitions instead of {topic.partitions}: "
                "sources go to other ones now, and what one shard has another would count again; "
                "make the topic anew with its number, or count all of it as one shard"
            )
        return [place for place in places if self._shard.owns(place.number)]

    def _past_what_is_lost(self, known: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """Where to go on in partitions that do not hold the ledger's position; it is moved there.

        What is lost of a source that numbers its events is a hole, and becomes a gap.
        """
        begins, ends = self._log.beginnings(known), self._log.ends(known)
        lost = {at: begins[at] for at, held in known.items() if not begins[at] <= held <= ends[at]}
        if not lost:
            return {}
        said = "; ".join(
            f"{place.topic}[{place.number}] was read up to {known[place]} and holds "
            f"{begins[place]} to {ends[place]}"
            for place in sorted(lost, key=str)
        )
        if not self._accept_lost:
            raise UnavailableError(
                f"the log does not hold what follows: {said}; put it back, or start with "
                "MIDSTAGE_STATS_ACCEPT_LOST=true to go on at the oldest record that it has"
            )
        _log.error("records_lost", places=said)
        moved = {place: known[place] for place in lost}
        self._ledger.commit(Batch(), begins=moved, ends=lost)
        return lost
