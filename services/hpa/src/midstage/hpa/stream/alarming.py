"""Tells of alarms in a versioned log of their own, so that each is raised and cleared once.

Looked at with each evaluation. A log that takes nothing now keeps nobody from scaling: the next
evaluation looks again.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from midstage.chassis.logs import logger
from midstage.contracts.alarms import Alarm, AlarmFact, AlarmRaised
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.versions import Answer, Execution
from midstage.hpa.decide.alarms import decide, ended, suspected
from midstage.hpa.metrics import Metrics
from midstage.hpa.model import Alarms, Scaler, Suspect
from midstage.hpa.stream.owning import Owning
from midstage.hpa.views.conditions import Condition, Conditions, Forecasting

Decides = Callable[[Alarms], Sequence[AlarmFact]]

_PAYLOAD: Final = b"alarm"
_log = logger(__name__)


class AlarmLog(Protocol):
    """The versioned log of alarms."""

    def states(self) -> Mapping[str, Alarms]:
        """The alarms of each application."""
        ...

    def state(self, key: str) -> tuple[int, Alarms]:
        """Version and alarms of one application."""
        ...

    def following(self) -> str | None:
        """None when the whole log is folded, else why not."""
        ...

    def execute_all(
        self, executions: Iterable[Execution[Alarms, AlarmFact]]
    ) -> Sequence[Answer[AlarmFact] | RefusedError | UnavailableError]:
        """Decide and append each as it comes, read all back."""
        ...


class Alarming:
    """Belongs to the thread of the loop."""

    def __init__(
        self,
        *,
        alarms: AlarmLog,
        owning: Owning,
        now: Callable[[], datetime],
        metrics: Metrics,
    ) -> None:
        """Tell in ``alarms`` of the applications that this process holds there."""
        self._alarms = alarms
        self._owning = owning
        self._now = now
        self._metrics = metrics

    def look(self, seen: Mapping[str, tuple[Scaler, Conditions | None]]) -> None:
        """Raise and clear what is to be, by application."""
        now = self._now()
        self._tell(
            {
                app: partial(decide, app=app, suspects=tuple(_suspects(*each, now)), now=now)
                for app, each in seen.items()
            }
        )

    def look_for_ended(self, scaling: Container[str]) -> None:
        """Clear the alarms of applications that scale no more."""
        now = self._now()
        self._tell(
            {
                app: partial(ended, app=app, now=now, reason="it scales no more")
                for app, held in self._alarms.states().items()
                if held.raised and app not in scaling
            }
        )

    def _tell(self, deciding: Mapping[str, Decides]) -> None:
        found = (self._execution(app, each) for app, each in deciding.items())
        executions = [each for each in found if each is not None]
        if not executions or self._alarms.following() is not None:
            return
        for each, answer in zip(executions, self._alarms.execute_all(executions), strict=True):
            if not isinstance(answer, Answer):
                _log.warning("alarm_not_told", app=each.key, reason=str(answer))
            elif not answer.repeated:
                for fact in answer.facts:
                    self._told(fact)

    def _execution(self, app: str, deciding: Decides) -> Execution[Alarms, AlarmFact] | None:
        """None where there is nothing to tell, or another process tells it."""
        epoch = self._owning.epoch(app)
        version, held = self._alarms.state(app)
        if epoch is None or not deciding(held):
            return None
        return Execution(
            key=app,
            command_id=f"alarm/{app}/{version}",
            payload=_PAYLOAD,
            decide=deciding,
            epoch=epoch,
        )

    def _told(self, fact: AlarmFact) -> None:
        raised = isinstance(fact, AlarmRaised)
        which = "raised" if raised else "cleared"
        self._metrics.alarms.labels(alarm=fact.alarm.value, what=which).inc()
        _log.info(f"alarm_{which}", app=fact.app, alarm=fact.alarm.value, reason=fact.reason)


def _suspects(scaler: Scaler, conditions: Conditions | None, now: datetime) -> Iterator[Suspect]:
    flaps = suspected(scaler.changes, now)
    if flaps is not None:
        yield flaps
    if conditions is not None:
        yield _suspect(Alarm.AT_MAXIMUM, conditions.at_maximum)
        yield _suspect(Alarm.INPUT_UNKNOWN, conditions.input_unknown)
        if conditions.forecast_off is not None or conditions.forecast is not Forecasting.OFF:
            yield _suspect(Alarm.FORECAST_OFF, conditions.forecast_off)


def _suspect(alarm: Alarm, condition: Condition | None) -> Suspect:
    if condition is None:
        return Suspect(alarm=alarm, since=None)
    return Suspect(alarm=alarm, since=condition.since, reason=condition.reason)
