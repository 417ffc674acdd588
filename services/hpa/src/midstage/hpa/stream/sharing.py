"""Takes the partitions that are this process's share, and says twice a second that it is there.

Who is there is read from the log, itself too, so that whoever can't write is nobody's member. A
partition is taken in the log of counts, then in that of alarms: the taking is what counts, not what
anybody believes of anybody; two that disagree for a moment take in turns, and one of them decides.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError, UnreadableError
from midstage.contracts.fact import Event
from midstage.contracts.members import MEMBER_LEFT, MEMBER_SEEN, MemberLeft, MemberSeen
from midstage.contracts.topics import Topic
from midstage.eventlog.appended import PartitionTaken
from midstage.eventlog.backoff import Backoff
from midstage.eventlog.codec import Decoder, message
from midstage.eventlog.log import GapError, Log, Reader, Record, Writer
from midstage.eventlog.progress import Progress
from midstage.hpa.decide.shares import shares
from midstage.hpa.metrics import Metrics
from midstage.hpa.views.members import Members

SERVICE: Final = "hpa"
BEAT_S: Final = 0.5
BACK: Final = timedelta(minutes=1)
"""Who said nothing for so long before a start is not waited for."""
_MOST: Final = 1_000
_POLL_S: Final = 0.1
_FLUSH_S: Final = 2.0
_log = logger(__name__)


class Taking(Protocol):
    """A versioned log whose partitions are taken."""

    def held(self) -> Mapping[int, PartitionTaken]:
        """Who holds each partition that was ever taken."""
        ...

    def take(self, partition: int, owner: str) -> None:
        """Hold it from now on, unless another one takes it at the same moment."""
        ...


class Sharing:
    """A chassis Loop."""

    name = "sharing"

    def __init__(
        self,
        *,
        log: Log,
        topic: Topic,
        member: str,
        partitions: int,
        scaling: Taking,
        alarms: Taking,
        able: Callable[[], str | None],
        metrics: Metrics,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        """``able``: None while this process could decide everything, else why not."""
        self._log = log
        self._topic = topic
        self._member = member
        self._partitions = partitions
        self._scaling = scaling
        self._alarms = alarms
        self._able = able
        self._metrics = metrics
        self._now = now
        self._monotonic = monotonic
        self._read = Decoder(topic)
        self._members = Members(SERVICE)
        self._progress = Progress(monotonic)
        self._writer: Writer | None = None
        self._number = 0
        self._beaten = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Share until ``stop`` is set, then leave; raises what is not UnavailableError."""
        backoff = Backoff()
        reader: Reader | None = None
        try:
            while not stop.is_set():
                try:
                    reader = reader or self.opened()
                    self.turn(reader)
                    backoff.reset()
                except UnavailableError as e:
                    if isinstance(e, GapError) and reader is not None:
                        reader.close()
                        reader = None
                    self._progress.backs_off(str(e))
                    backoff.wait(stop)
        finally:
            self._progress.ended()
            if reader is not None:
                reader.close()
            self.leave()

    def following(self) -> str | None:
        """None while it goes on, else why not."""
        return self._progress.reason()

    def opened(self) -> Reader:
        """A reader of all who may be there; UnavailableError while the log can't be asked."""
        places = self._log.partitions(self._topic.name)
        return self._log.reader(self._log.offsets_at(places, self._now() - BACK))

    def turn(self, reader: Reader) -> None:
        """Hear of others; where it is time, say that we are there, and take what is ours."""
        for record in reader.poll(most=_MOST, timeout_s=_POLL_S):
            self._hear(record)
        self._progress.came_round(lag=0)
        now = self._monotonic()
        if now - self._beaten < BEAT_S or any(reader.lag().values()):
            return
        self._beaten = now
        if self._able() is None:
            self._say(MEMBER_SEEN, MemberSeen(service=SERVICE, member=self._member))
            self._share(self._members.present(now))

    def _hear(self, record: Record) -> None:
        try:
            fact = self._read(record).data
        except UnreadableError:
            return  # garbage names nobody
        if isinstance(fact, MemberSeen | MemberLeft):
            self._members.apply(fact, self._monotonic())

    def _share(self, members: frozenset[str]) -> None:
        """Take what is ours; what is another one's too now, that one takes."""
        self._metrics.members.set(len(members))
        if self._member not in members:
            return
        holders = _owners(self._scaling)
        owners = shares(self._partitions, holders, members)
        for number in [each for each, owner in owners.items() if owner == self._member]:
            if holders.get(number) != self._member:
                _log.info("partition_taken", partition=number, held_by=holders.get(number))
                self._scaling.take(number, self._member)
        ours = [each for each, owner in _owners(self._scaling).items() if owner == self._member]
        told = _owners(self._alarms)
        for number in ours:
            if told.get(number) != self._member:  # each taking asks the broker how far the log is
                self._alarms.take(number, self._member)
        self._metrics.partitions.set(len(ours))

    def _say(self, type_: str, fact: MemberSeen | MemberLeft) -> None:
        if self._writer is None:
            self._writer = self._log.writer()
        self._number += 1
        event = Event(
            id=f"{self._member}/{self._number}",
            source=self._member,
            type=type_,
            time=self._now(),
            data=fact,
        )
        self._writer.send(message(event, topic=self._topic.name, key=self._member))
        self._writer.flush(0.0)  # raises what broke the client for good

    def leave(self) -> None:
        """Say that nobody need wait for us, and let go of the connection."""
        if self._writer is None:
            return
        self._say(MEMBER_LEFT, MemberLeft(service=SERVICE, member=self._member))
        self._writer.flush(_FLUSH_S)
        self._writer.close()


def _owners(log: Taking) -> Mapping[int, str]:
    return {number: taken.owner for number, taken in log.held().items()}
