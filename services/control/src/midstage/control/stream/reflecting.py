"""One cluster becomes facts: lease, listing, differences, then each change as it comes.

Only who holds the cluster's lease writes; another process stands by and goes on from what the
inventory says. What was written is known only after the stream has it, so a write that broke off
is found again as a difference. A cluster that can't be asked is a fact, told once; nothing of it
is gone.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from midstage.chassis.clock import Clock
from midstage.chassis.logs import logger
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.cluster import ClusterFact, ClusterReached, ClusterUnreachable
from midstage.contracts.errors import UnavailableError
from midstage.contracts.inventory import Inventory, Living, key_of_fact
from midstage.control.decide.objects import answered, changed, differences, untold
from midstage.control.decide.use import measured
from midstage.control.metrics import Metrics
from midstage.control.model import GpuUse, Stamp
from midstage.control.stream.cluster import AwayError, Watched, WatchEndedError, asked
from midstage.control.stream.known import Known
from midstage.control.stream.tenure import Tenure
from midstage.control.stream.watching import Came, Watching
from midstage.control.stream.writing import Writing
from midstage.eventlog.backoff import Backoff

REACHED_EACH_S = 5.0
HEALTHY_S = 10.0
"""A watch that lasted so long was a good one: the next to break off is taken up again at once."""
GONE_FOR = timedelta(hours=1)
"""So long the inventory topic says that something is gone."""
FORGET_EACH_S = 60.0
_FORGOTTEN_AT_ONCE = 1000
_STANDBY_S = 0.5
_TURN_S = 0.2
_READ_WITHIN_S = 10.0
_log = logger(__name__)


class Reflector:
    """A chassis Loop for one cluster."""

    def __init__(
        self,
        cluster: Watched,
        *,
        tenure: Tenure,
        known: Known,
        writing: Callable[[], Writing],
        clock: Clock,
        metrics: Metrics,
        usage_every_s: float,
        gpus: Callable[[], Sequence[GpuUse]],
    ) -> None:
        """Ask nothing yet; ``writing`` connects when the loop starts."""
        self.name = f"reflect:{cluster.name}"
        self._cluster = cluster
        self._tenure = tenure
        self._known = known
        self._open = writing
        self._clock = clock
        self._metrics = metrics
        self._usage_every_s = usage_every_s
        self._gpus = gpus
        self._held = Inventory()
        self._epoch = 0
        self._answered_at: datetime | None = None
        self._told_away = False
        self._reached_due = self._forgets_due = 0.0
        self._trouble: str | None = f"{cluster.name} was not asked yet"
        self._stop = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Reflect until ``stop`` is set."""
        self._stop = stop
        backoff = Backoff()
        writing = self._open()
        try:
            while not stop.is_set():
                try:
                    self._turn(writing, backoff)
                except (ExpiredError, WatchEndedError) as e:
                    _log.info("watch_ended", cluster=self._cluster.name, reason=str(e))
                    backoff.wait(stop)
                except AwayError as e:
                    self._away(writing, str(e))
                    backoff.wait(stop)
                except UnavailableError as e:
                    self._troubled(str(e))
                    backoff.wait(stop)
            self._leave()
        finally:
            writing.close()

    def trouble(self) -> str | None:
        """Why facts of this cluster can't be written though it answers; None: nothing is wrong."""
        return self._trouble

    def _turn(self, writing: Writing, backoff: Backoff) -> None:
        """From the lease to the end of one watch."""
        if not self._tenure.taken():
            self._stands_by()
            return
        self._answered()
        self._take_over()
        listing = asked(self._cluster.list)
        self._metrics.listings.labels(self._cluster.name).inc()
        self._answered()
        facts = differences(self._held, listing, self._stamp, self._clock.now())
        self._write(writing, facts)
        self._says_that_it_answers(writing)
        begun = self._clock.monotonic()
        watching = Watching(
            self._cluster,
            since=listing.resource_version,
            usage_every_s=self._usage_every_s,
            monotonic=self._clock.monotonic,
            gpus=self._gpus,
        )
        try:
            self._follow(watching, writing)
        finally:
            watching.close()
            if self._clock.monotonic() - begun >= HEALTHY_S:
                backoff.reset()

    def _follow(self, watching: Watching, writing: Writing) -> None:
        while not self._stop.is_set() and self._tenure.keep():
            came = watching.take(min(_TURN_S, self._tenure.due_in_s()))
            if came.changes or came.uses is not None:
                self._answered()
                self._write(writing, self._facts(came))
            if came.first_at:
                waited = self._clock.monotonic() - came.first_at
                self._metrics.written_seconds.observe(waited)
            self._says_that_it_answers(writing)
            if self._clock.monotonic() >= self._forgets_due:
                self._forgets(writing)
            if late := self._known.late(self._cluster.name):
                answers = answered(late.values(), self._held, self._stamp, self._clock.now())
                self._write(writing, answers)
                self._known.answered(self._cluster.name, late)
                self._metrics.answered.labels(self._cluster.name).inc(len(answers))

    def _facts(self, came: Came) -> Sequence[ClusterFact]:
        now = self._clock.now()
        made = (changed(change, self._stamp, now) for change in came.changes)
        facts = untold(made, self._held)
        if came.uses is None:
            return facts
        return (*facts, *measured(came.uses, self._held, self._stamp, now))

    def _forgets(self, writing: Writing) -> None:
        """Take out of the inventory topic what was gone long ago and has not come back.

        A late zombie that tells of it again finds nobody who knows it, so it is answered as ever.
        """
        self._forgets_due = self._clock.monotonic() + FORGET_EACH_S
        before = self._clock.now() - GONE_FOR
        old = [
            fact
            for fact in self._known.buried(self._cluster.name, before=before)[:_FORGOTTEN_AT_ONCE]
            if not isinstance(self._held.newest(key_of_fact(fact)), Living)
        ]
        if old and self._tenure.held():
            writing.forget(old, self._may_go_on)
            self._known.forget(old)

    def _write(self, writing: Writing, facts: Sequence[ClusterFact]) -> None:
        """Write, and only then know; UnavailableError where the lease ran out meanwhile."""
        if facts and not self._tenure.held():
            raise UnavailableError(f"the lease of {self._cluster.name} was not renewed in time")
        writing.write(facts, self._may_go_on)
        for fact in facts:
            self._held.apply(fact)

    def _may_go_on(self) -> bool:
        return not self._stop.is_set() and self._tenure.keep()

    def _says_that_it_answers(self, writing: Writing) -> None:
        """Each 5 s, and at once where it was not so before; not with each listing."""
        before = self._told_away or self._trouble is not None
        if before or self._clock.monotonic() >= self._reached_due:
            self._reaches(writing)

    def _reaches(self, writing: Writing) -> None:
        reached = ClusterReached(
            cluster=self._cluster.name,
            name=self._cluster.name,
            epoch=self._epoch,
            observed_at=self._clock.now(),
            objects=len(self._held.objects(self._cluster.name)),
        )
        self._write(writing, [reached])
        self._reached_due = self._clock.monotonic() + REACHED_EACH_S
        self._told_away, self._trouble = False, None
        self._metrics.reachable.labels(self._cluster.name).set(1)

    def _away(self, writing: Writing, reason: str) -> None:
        """Say once that it can't be asked, as long as the lease surely holds."""
        self._trouble = None
        self._metrics.reachable.labels(self._cluster.name).set(0)
        if self._told_away or not self._tenure.held() or self._answered_at is None:
            return
        now = self._clock.now()
        _log.warning("cluster_unreachable", cluster=self._cluster.name, reason=reason)
        unreachable = ClusterUnreachable(
            cluster=self._cluster.name,
            name=self._cluster.name,
            epoch=self._epoch,
            observed_at=now,
            since=self._answered_at,
            reason=reason,
        )
        try:
            writing.write([unreachable], lambda: not self._stop.is_set() and self._tenure.held())
        except UnavailableError as e:
            self._troubled(str(e))
            return
        self._told_away = True

    def _take_over(self) -> None:
        """Under a new epoch, begin with what the inventory says."""
        if self._tenure.epoch == self._epoch:
            return
        held, highest = self._known.taken_over(
            self._cluster.name, epoch=self._tenure.epoch, within_s=_READ_WITHIN_S
        )
        if highest > self._tenure.epoch:
            raise UnavailableError(
                f"the lease of {self._cluster.name} has epoch {self._tenure.epoch}, below the "
                f"log's {highest}: the cluster was made anew; give it a new name"
            )
        self._held, self._epoch, self._reached_due = held, self._tenure.epoch, 0.0
        self._metrics.holding.labels(self._cluster.name).set(1)
        _log.info("lease_taken", cluster=self._cluster.name, epoch=self._epoch)

    def _stands_by(self) -> None:
        if self._epoch:
            _log.warning("lease_lost", cluster=self._cluster.name, epoch=self._epoch)
        self._epoch, self._trouble = 0, None
        self._known.given_up(self._cluster.name)
        self._metrics.holding.labels(self._cluster.name).set(0)
        self._metrics.reachable.labels(self._cluster.name).set(1)
        self._stop.wait(_STANDBY_S)

    def _leave(self) -> None:
        try:
            self._tenure.leave()
        except AwayError as e:
            _log.info("lease_left_to_run_out", cluster=self._cluster.name, reason=str(e))

    def _troubled(self, reason: str) -> None:
        if reason != self._trouble:
            _log.warning("facts_not_written", cluster=self._cluster.name, reason=reason)
        self._trouble = reason

    def _answered(self) -> None:
        self._answered_at = self._clock.now()

    @property
    def _stamp(self) -> Stamp:
        return Stamp(cluster=self._cluster.name, epoch=self._epoch)
