"""Where signals are read: Kafka for lags of consumer groups, a cluster's metrics APIs for the rest.

A source that can't be asked, or has no figure, raises UnavailableError: it never says 0 for that.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from midstage.contracts.errors import UnavailableError
from midstage.contracts.signals import SignalObserved
from midstage.control.decide.signals import External, OfGroup, OfObject, OfPods, Wanted
from midstage.eventlog.kafka import GroupLags

if TYPE_CHECKING:  # a second to import, and needless beside a local cluster
    from midstage.cluster.kubernetes.measures import Measured, Measures

KAFKA: Final = "kafka"
MOST_PARTITIONS: Final = 4000
"""Of more, the fact would be too large for its readers."""


class Lags:
    """Lags of consumer groups."""

    name = KAFKA

    def __init__(self, lags: GroupLags, *, now: Callable[[], datetime]) -> None:
        """Ask nothing yet."""
        self._lags = lags
        self._now = now

    def knows(self, wanted: Wanted) -> bool:
        """Whether it is a lag."""
        return isinstance(wanted.question, OfGroup)

    def told(self, wanted: Wanted) -> SignalObserved:
        """The signal as it is now; UnavailableError where it is not known."""
        question, at = wanted.question, self._now()
        assert isinstance(question, OfGroup)
        found = self._lags.of(question.group, question.topics)
        if len(found.partitions) > MOST_PARTITIONS:
            raise UnavailableError(f"{question.group} reads more than {MOST_PARTITIONS} partitions")
        return SignalObserved(
            app=wanted.app,
            kind=wanted.kind,
            name=wanted.name,
            series=wanted.series,
            source=self.name,
            observed_at=at,
            value=float(found.total),
            consumers=found.consumers,
            partitions=tuple(found.partitions),
        )


class Metrics:
    """Custom and external metrics of one cluster."""

    def __init__(self, measures: "Measures", *, now: Callable[[], datetime]) -> None:
        """Ask nothing yet."""
        self.name = f"cluster/{measures.name}"
        self._measures = measures
        self._now = now

    def knows(self, wanted: Wanted) -> bool:
        """Whether a cluster's metrics say it."""
        return not isinstance(wanted.question, OfGroup)

    def told(self, wanted: Wanted) -> SignalObserved:
        """The signal as old as the adapter says; UnavailableError where it is not known."""
        at, found = self._now(), self._measured(wanted)
        return SignalObserved(
            app=wanted.app,
            kind=wanted.kind,
            name=wanted.name,
            series=wanted.series,
            source=self.name,
            observed_at=at if found.at is None else min(at, found.at),
            value=found.value,
            by_pod=dict(found.by_pod),
        )

    def _measured(self, wanted: Wanted) -> "Measured":
        match wanted.question:
            case OfPods(metric=metric):
                return self._measures.of_pods(metric, app=wanted.app)
            case OfObject(metric=metric, described=described):
                return self._measures.of_object(metric, described)
            case External(metric=metric):
                return self._measures.external(metric)
            case OfGroup():
                raise AssertionError("a group's lag is not asked of a cluster")
