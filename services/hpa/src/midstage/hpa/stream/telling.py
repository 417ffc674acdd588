"""Writes evaluations to their stream, each whether it changed something or not.

Nothing waits for them: one that is lost is logged, and the next one comes within seconds.
"""

from itertools import count
from typing import Final

from midstage.chassis.logs import logger
from midstage.contracts.errors import RefusedError
from midstage.contracts.fact import Event
from midstage.contracts.scaling import EVALUATION_MADE, Evaluation, EvaluationMade
from midstage.eventlog.codec import message
from midstage.eventlog.log import Delivery, Log, Undelivered, Writer

_FLUSH_S: Final = 2.0
_log = logger(__name__)


class Telling:
    """Belongs to the thread of the loop."""

    def __init__(self, *, log: Log, topic: str, member: str) -> None:
        """``topic`` takes the evaluations; ``member`` names this process in their ids."""
        self._log = log
        self._topic = topic
        self._source = member
        self._numbers = count(1)
        self._writer: Writer | None = None

    def tell(self, evaluation: Evaluation, *, decided: bool, epoch: int) -> None:
        """Hand it over; ``decided``: it changed the count."""
        app = evaluation.inputs.app
        event = Event(
            id=f"{self._source}/{next(self._numbers)}",
            source=self._source,
            type=EVALUATION_MADE,
            time=evaluation.inputs.now,
            subject=app,
            data=EvaluationMade(app=app, evaluation=evaluation, decided=decided, epoch=epoch),
        )
        if self._writer is None:
            self._writer = self._log.writer()
        try:
            self._writer.send(message(event, topic=self._topic, key=app), self._delivered)
        except RefusedError as e:
            _log.error("evaluation_not_written", app=app, reason=str(e))
        self._writer.flush(0.0)  # raises what broke the client for good

    def close(self) -> None:
        """Wait shortly for what is being written, and let go of the connection."""
        if self._writer is not None:
            self._writer.flush(_FLUSH_S)
            self._writer.close()

    def _delivered(self, delivery: Delivery) -> None:
        if isinstance(delivery, Undelivered):
            _log.error("evaluation_not_written", reason=delivery.reason)
