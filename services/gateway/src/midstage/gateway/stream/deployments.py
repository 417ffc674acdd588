"""What deploy and control say, folded: specs from the versioned log, pods from the inventory.

Both are read from their beginning at each start, and nothing is said before both have been read to
the ends that they had then: else Envoy would be told less than it knows. From then on what was last
heard holds, however long the log is away: unknown is not zero.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from midstage.chassis.clock import Clock
from midstage.chassis.process import Loop
from midstage.contracts.apps import AppFact
from midstage.contracts.cluster import ObjectGone, PodObserved
from midstage.contracts.errors import UnavailableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.inventory import Folded, Inventory
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import Decoders
from midstage.eventlog.current import Current
from midstage.eventlog.fold import Fold
from midstage.eventlog.follow import Follower
from midstage.eventlog.log import Log, Record
from midstage.eventlog.topics import settings_of
from midstage.gateway.decide.deployed import deployed, evolve
from midstage.gateway.decide.pods import pods
from midstage.gateway.model.apps import Deployed
from midstage.gateway.model.deployed import Pods, Slot

Observed = Sequence[PodObserved]


class Deployments:
    """The view of both, for other threads, and the loops that keep it."""

    def __init__(
        self,
        *,
        log: Log,
        apps: Topic,
        cluster: Topic,
        inventory: Topic,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        """Connect nothing yet; ``changed`` is called when ``deployed`` may say something new."""
        self._changed = changed
        self._specs = Specs(
            log=log, topic=apps, create=(apps, cluster, inventory), clock=clock, changed=changed
        )
        self._inventory = Inventory()
        self._pods_version = self._told_version = 0
        self._current = Current(
            name="pods",
            log=log,
            stream=cluster,
            compacted=inventory,
            read=Decoders(cluster, inventory),
            apply=self._apply,
            on_change=self._tell,
            monotonic=clock.monotonic,
        )
        self._whole = False
        self._pods: dict[str, tuple[Observed, Pods]] = {}

    @property
    def loops(self) -> Sequence[Loop]:
        """What has to run."""
        return (self._specs, self._current)

    def specs_progress(self) -> str | None:
        """None while the specs are followed, else why not."""
        return self._specs.progress()

    def pods_progress(self) -> str | None:
        """None while the pods are followed, else why not."""
        return self._current.caught_up()

    def deployed(self) -> Deployed:
        """The newest that is known; UnavailableError until everything has been read once."""
        if not self._whole:
            reason = self._specs.progress() or self._current.caught_up()
            if reason is not None:
                raise UnavailableError(reason)
            self._whole = True
        slots, stuck = self._specs.slots()
        with self._current.changed:
            observed = {app: found for app in slots if (found := self._inventory.pods_of(app))}
        self._pods = {app: self._pods_of(app, found) for app, found in observed.items()}
        by_app = {app: decided for app, (_, decided) in self._pods.items()}
        return deployed(slots, pods=by_app, stuck=stuck)

    def _pods_of(self, app: str, observed: Observed) -> tuple[Observed, Pods]:
        """Decided anew only where something changed: one pod's change is not everybody's work."""
        before = self._pods.get(app)
        if before is not None and before[0] == observed:
            return before
        return observed, pods(observed)

    def _apply(self, event: Event[Fact], _record: Record) -> None:
        """Of the cluster's facts those count that are about pods; their epochs are each fact's."""
        match event.data:
            case PodObserved() | ObjectGone() as fact:
                if self._inventory.apply(fact) is Folded.NEWER:
                    self._pods_version += 1
            case _:
                pass

    def _tell(self) -> None:
        if self._told_version != self._pods_version:
            self._told_version = self._pods_version
            self._changed()


class Specs:
    """A chassis Loop that follows ``midstage.apps.v1``, and creates what is read where it lacks."""

    name = "specs"

    def __init__(
        self,
        *,
        log: Log,
        topic: Topic,
        create: Sequence[Topic],
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        """Connect nothing yet."""
        self._log = log
        self._missing = [settings for each in create for settings in settings_of(each)]
        self._tell = changed
        self._fold: Fold[Slot, AppFact] = Fold(
            topic=topic, initial=Slot(), evolve=evolve, remembered_for=timedelta(0)
        )
        self._follower = Follower(
            log=log,
            topic=topic.name,
            fold=self._fold,
            now=clock.now,
            monotonic=clock.monotonic,
            snapshots=None,
        )

    def run(self, stop: threading.Event) -> None:
        """Follow until ``stop`` is set."""
        self._follower.run(stop, heard=lambda _: self._tell(), check=self._create)

    def progress(self) -> str | None:
        """None when what stood in the log is folded and it goes on, else why not."""
        return self._follower.reason()

    def slots(self) -> tuple[dict[str, tuple[int, Slot]], dict[str, str]]:
        """Version and slot of each key, and why a key stopped."""
        with self._follower.changed:
            return {key: self._fold.state(key) for key in self._fold.states()}, {**self._fold.stuck}

    def _create(self) -> None:
        if self._missing:
            self._log.create(self._missing)
            self._missing = []
