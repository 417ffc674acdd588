"""What the API answers from: the inventory, then the stream of changes and measurements."""

from collections.abc import Callable
from typing import TypeVar

from midstage.contracts.cluster import ClusterFact
from midstage.contracts.fact import Event, Fact
from midstage.contracts.inventory import Inventory
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import Decoders
from midstage.eventlog.current import Current
from midstage.eventlog.log import Log, Record

T = TypeVar("T")


class View:
    """The fold of both topics; ``loop`` keeps it current and is a loop of the process."""

    def __init__(
        self,
        *,
        log: Log,
        stream: Topic,
        inventory: Topic,
        hear: Callable[[ClusterFact], None],
        monotonic: Callable[[], float],
    ) -> None:
        """Connect nothing yet; ``hear`` is told each fact that comes to the stream from now on."""
        self._inventory = Inventory()
        self._stream = stream.name
        self._hear = hear
        self.loop = Current(
            name="view",
            log=log,
            stream=stream,
            compacted=inventory,
            read=Decoders(stream, inventory),
            apply=self._apply,
            monotonic=monotonic,
        )

    def ask(self, question: Callable[[Inventory], T]) -> T:
        """The answer of one moment."""
        with self.loop.changed:
            return question(self._inventory)

    def _apply(self, event: Event[Fact], record: Record) -> None:
        fact = event.data
        assert isinstance(fact, ClusterFact)  # the topics have no others
        self._inventory.apply(fact)
        if record.partition.topic == self._stream and not self.loop.replays(record):
            self._hear(fact)
