"""What throttles wrote that run no more, as a test puts it into a log."""

from midstage.chassis.clock import SystemClock
from midstage.contracts import topics
from midstage.contracts.limits import LimitSet
from midstage.eventlog.appended import command, written
from midstage.eventlog.log import Log, Message
from midstage.throttle.model.limits import limit_key


def set_by(fact: LimitSet, topic: topics.Topic, *, version: int = 1) -> Message:
    """The record that sets a limit."""
    by = command(key=limit_key(fact.limit), command_id=f"set-{fact.limit}-{version}", payload=b"")
    return written(
        topic,
        event_id=f"{fact.limit}/{version}",
        by=by,
        version=version,
        engine="throttle/0",
        facts=[fact],
        at=SystemClock().now(),
    )


def put(log: Log, *messages: Message) -> None:
    """Write them, and see that they stand."""
    writer = log.writer()
    for each in messages:
        writer.send(each)
    assert writer.flush(60) == 0
    writer.close()
