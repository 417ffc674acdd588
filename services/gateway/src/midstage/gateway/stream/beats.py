"""Heartbeats: each second, for each source, how far it is and up to when it is complete.

Envoy's admin address and its log share one thread in Envoy; so when it answers, and everything
that was in the file afterwards is acknowledged, then all that ended some time before the question
is. While it does not answer, the gauges are unknown and the completeness stands still.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from midstage.chassis.clock import Clock
from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError
from midstage.eventlog.log import Writer
from midstage.gateway.decide import facts, shipping
from midstage.gateway.metrics import Metrics
from midstage.gateway.stream.neighbours import Envoy, Sizes
from midstage.gateway.stream.outbox import Outbox
from midstage.gateway.stream.source import Sent, Source

BEAT_EVERY_S = 1.0
WAIT_S = 0.4
"""A beat waits so long for the acknowledgement that makes it complete up to now."""

_log = logger(__name__)


@dataclass(slots=True, kw_only=True)
class _Round:
    """What was seen once a second and is not sent yet."""

    asked: datetime
    since: float
    seen: facts.Gauges | None


class Beats:
    """Asks Envoy and sends the beats; used by the shipper's thread alone."""

    def __init__(
        self,
        *,
        edge: str,
        envoy: Envoy,
        files: Sizes,
        outbox: Outbox,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """Beat for the sources of ``edge``."""
        self._edge = edge
        self._envoy = envoy
        self._files = files
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self._looked_at = float("-inf")
        self._round: _Round | None = None
        self._under_way: Sequence[Sent] = ()

    def turn(self, sources: Sequence[Source], writer: Writer) -> None:
        """Do what is due."""
        now = self._clock.monotonic()
        if sources and now - self._looked_at >= BEAT_EVERY_S:
            self._looked_at = now
            self._look(sources, now)
        waiting = self._round
        if waiting is not None and (self._complete(sources) or now - waiting.since >= WAIT_S):
            self._round = None
            self._send(sources, waiting, writer)

    def _look(self, sources: Sequence[Source], now: float) -> None:
        asked = self._clock.now()
        try:
            seen = facts.gauges(self._envoy.loads())
        except UnavailableError as e:
            self._metrics.envoy_unanswered.inc()
            _log.warning("envoy_unanswered", reason=str(e))
            self._round = _Round(asked=asked, since=now - WAIT_S, seen=None)
            return
        for source in sources:
            size = self._files.size(source.file.stem)
            source.completeness = shipping.looked(source.completeness, asked=asked, size=size)
        self._round = _Round(asked=asked, since=now, seen=seen)

    def _complete(self, sources: Sequence[Source]) -> bool:
        return all(one.completeness.until >= one.completeness.soon for one in sources)

    def _send(self, sources: Sequence[Source], seen: _Round, writer: Writer) -> None:
        if any(sent.delivery is None for sent in self._under_way):
            return  # Kafka is away: old beats would tell nobody anything
        under_way = []
        for source in sources:
            event = facts.beat(
                edge=self._edge,
                source=source.name,
                at=seen.asked,
                position=source.position,
                complete_until=source.completeness.until,
                newest=source is sources[-1],
                seen=seen.seen,
            )
            sent = Sent(source.position)
            writer.send(self._outbox.about(event), sent.done)
            under_way.append(sent)
        self._under_way = under_way
        self._metrics.beats.inc()
