"""Says what is in force: asks Envoy, and writes a fact for each application that midstage runs.

When something changed, and every 2 s at least. While Envoy does not answer nothing is said, so
nobody takes a replica for drained; while Kafka is away nothing queues up, and what is so by then is
said when it is back. Facts are signed with the edge's key, as all that it says.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from midstage.chassis.clock import Clock
from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError
from midstage.contracts.routes import RoutesApplied, Way
from midstage.contracts.topics import Topic
from midstage.eventlog import codec
from midstage.eventlog.backoff import Backoff
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Delivery, Log, Undelivered, Writer
from midstage.eventlog.progress import Progress
from midstage.eventlog.topics import settings_of
from midstage.gateway.decide.applied import Look, Watches, event, fact, looked, same
from midstage.gateway.metrics import Metrics
from midstage.gateway.model.apps import App, Place
from midstage.gateway.model.inforce import Seen
from midstage.gateway.stream.bell import Bell
from midstage.gateway.stream.configuration import Told

SETTLED_EVERY_S = 1.0
UNSETTLED_EVERY_S = 0.2
"""While Envoy has yet to follow, or somebody waits for a drain."""
SAID_EVERY_S = 2.0
_LEAST_BETWEEN_S = 0.05

_log = logger(__name__)


class Envoy(Protocol):
    """The running Envoy."""

    def seen(self) -> Seen:
        """Its hosts and the version of its routes; UnavailableError where it can't say."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Who speaks, where to, and how its facts are signed."""

    name: str
    signing_key: bytes
    topic: Topic


class Routes:
    """A chassis Loop; ``look``, ``in_force`` and ``progress`` may be asked by other threads.

    ``look`` is None while Envoy does not answer; ``in_force`` are the applications as the routes
    that Envoy has name them; ``serving`` is where it sends requests, None before it was asked.
    """

    name = "routes"

    def __init__(
        self,
        *,
        edge: Edge,
        log: Log,
        envoy: Envoy,
        told: Callable[[], Told | None],
        clock: Clock,
        metrics: Metrics,
        bell: Bell,
        changed: Callable[[], None],
        reached: Failpoint = nothing,
    ) -> None:
        """Touch nothing before ``run``; ``bell`` is rung when Envoy was told something.

        ``changed`` is called when Envoy serves elsewhere than before.
        """
        self._edge = edge
        self._log = log
        self._envoy = envoy
        self._told = told
        self._clock = clock
        self._metrics = metrics
        self._bell = bell
        self._changed = changed
        self._reached = reached
        self._progress = Progress(clock.monotonic)
        self._writer: Writer | None = None
        self._watches: Watches = {}
        self._said: dict[str, RoutesApplied] = {}
        self._said_at_s = float("-inf")
        self._under_way: Sequence[_Sent] = ()
        self.serving: frozenset[Place] | None = None
        self.look: Look | None = None
        self.in_force: Mapping[str, App] = {}

    def run(self, stop: threading.Event) -> None:
        """Ask and say until ``stop`` is set."""
        backoff = Backoff()
        try:
            while not stop.is_set():
                try:
                    self.turn()
                    backoff.reset()
                except UnavailableError as e:
                    self._progress.backs_off(str(e))
                    backoff.wait(stop)
                stop.wait(_LEAST_BETWEEN_S)
                self._bell.wait(self._pause_s(), stop)
        finally:
            self._progress.ended()
            if self._writer is not None:
                self._writer.close()

    def progress(self) -> str | None:
        """None while what Envoy says reaches Kafka, else why not."""
        return self._progress.reason()

    def turn(self) -> None:
        """Look once, and say what there is to say; UnavailableError where Kafka is away."""
        told = self._told()  # before Envoy is asked: it may know more than was told, never less
        seen = self._seen()
        look = self._looked(told, seen) if told is not None and seen is not None else None
        self.look = look
        if told is not None and look is not None:
            self._count(look)
            self._say(told, look)
        self._progress.came_round(lag=0)

    def _seen(self) -> Seen | None:
        """What Envoy says; None where it does not answer, and then it serves nowhere."""
        self._asked_at = self._clock.now()
        try:
            seen = self._envoy.seen()
        except UnavailableError as e:
            self._metrics.envoy_unanswered.inc()
            if self.look is not None:
                _log.warning("envoy_unanswered", reason=str(e))
            self._watches = {}
            self._serve(frozenset())
            return None
        self._serve(seen.serving)
        return seen

    def _serve(self, serving: frozenset[Place]) -> None:
        if serving != self.serving:
            self.serving = serving
            self._changed()

    def _looked(self, told: Told, seen: Seen) -> Look:
        now_s = self._clock.monotonic()
        look = looked(told.routing.apps, seen, before=self._watches, now_s=now_s)
        self._watches = look.watches
        if seen.routes == told.version:
            self.in_force = {app.name: app for app in told.routing.apps}
        return look

    def _say(self, told: Told, look: Look) -> None:
        self._settle()
        if any(sent.delivery is None for sent in self._under_way):
            return
        now = self._clock.monotonic()
        due = now - self._said_at_s >= SAID_EVERY_S
        facts = self._facts(told, look)
        new = [one for one in facts if due or not self._was_said(one)]
        if due:
            self._said_at_s = now
        if new:
            self._send(new)
        self._said = {one.app: one for one in facts}

    def _facts(self, told: Told, look: Look) -> Sequence[RoutesApplied]:
        """Of each application of the log; and of each that is no more, that it has no replicas."""
        names = {app.name for app in told.routing.apps if app.version}
        gone = {app for app, said in self._said.items() if said.endpoints or said.spec_version}
        return [
            fact(
                name,
                edge=self._edge.name,
                at=self._asked_at,
                routed=self.in_force.get(name),
                endpoints=look.apps.get(name, ()),
            )
            for name in sorted(names | gone)
        ]

    def _was_said(self, one: RoutesApplied) -> bool:
        before = self._said.get(one.app)
        return before is not None and same(one, before)

    def _send(self, facts: Sequence[RoutesApplied]) -> None:
        writer = self._writer = self._writer or self._opened()
        under_way = []
        for one in facts:
            sent = _Sent()
            message = codec.message(
                event(one),
                topic=self._edge.topic.name,
                key=one.app,
                signing_key=self._edge.signing_key,
            )
            writer.send(message, sent.done)
            under_way.append(sent)
        self._under_way = under_way
        self._metrics.routes_written.inc(len(facts))
        self._reached("routes:written")

    def _opened(self) -> Writer:
        self._log.create(settings_of(self._edge.topic))
        return self._log.writer()

    def _settle(self) -> None:
        """What Kafka did not acknowledge is said again, as it is by now."""
        lost = [sent for sent in self._under_way if isinstance(sent.delivery, Undelivered)]
        if lost:
            self._metrics.routes_undelivered.inc(len(lost))
            self._said_at_s = float("-inf")
            self._under_way = ()

    def _count(self, look: Look) -> None:
        ways = [endpoint.way for endpoints in look.apps.values() for endpoint in endpoints]
        for way in Way:
            self._metrics.replicas.labels(way=way.value).set(ways.count(way))

    def _pause_s(self) -> float:
        settled = self.look is None or self.look.settled
        return SETTLED_EVERY_S if settled else UNSETTLED_EVERY_S


class _Sent:
    """One fact that was handed over; its acknowledgement comes from another thread."""

    __slots__ = ("delivery",)

    def __init__(self) -> None:
        self.delivery: Delivery | None = None

    def done(self, delivery: Delivery) -> None:
        self.delivery = delivery
