"""What people order is no decision, and stops nobody from reading those that are."""

from datetime import timedelta

from midstage.contracts.manual import (
    Override,
    OverrideLifted,
    OverrideSet,
    Pause,
    ScalingPaused,
    ScalingResumed,
)
from midstage.contracts.topics import SCALING
from midstage.eventlog.appended import command, written
from midstage.eventlog.fold import Verdict
from midstage.eventlog.log import Partition, Record
from midstage.local.replay.told import decisions_fold

from .loop_facts import after, decided


def test_orders_among_decisions_are_passed_over() -> None:
    at, end = after(1), after(1) + timedelta(hours=1)
    one, other = decided(0, 0, 2), decided(9, 2, 4)
    facts = (
        one,
        OverrideSet(app=one.app, override=Override(by="anna", at=at, until=end, min=4, max=4)),
        OverrideLifted(app=one.app, by="anna", at=at),
        ScalingPaused(app=one.app, pause=Pause(by="anna", at=at, until=end)),
        ScalingResumed(app=one.app, by="anna", at=at),
        other,
    )
    fold = decisions_fold(SCALING)
    for version, fact in enumerate(facts, start=1):
        message = written(
            SCALING,
            event_id=f"test/{version}",
            by=command(key=one.app, command_id=f"c-{version}", payload=b""),
            version=version,
            engine="test",
            facts=[fact],
            at=at,
        )
        record = Record(
            partition=Partition(topic=SCALING.name, number=0),
            offset=version,
            key=message.key,
            value=message.value,
            headers=message.headers,
        )
        assert fold.apply(record).verdict is Verdict.ACCEPTED
    assert fold.state(one.app) == (6, (one, other))
    assert not fold.stuck
