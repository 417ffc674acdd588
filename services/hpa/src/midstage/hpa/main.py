"""hpa's only composition: two versioned logs, the evaluating loop, HTTP for people, the replay.

Any number of processes may run: they share the applications, and each answers for all.
``python -m midstage.hpa.main`` serves, ``… replay --kafka ADDRESS`` makes all evaluations again,
``… backtest --policy FILE`` tries a policy on a past, ``… tune`` finds one.
"""

import os
import sys
import uuid
from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.audited import Audit, told_lost
from midstage.chassis.clock import Clock, SystemClock
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness
from midstage.chassis.settings import secret
from midstage.chassis.start import start
from midstage.contracts.alarms import AlarmFact
from midstage.contracts.apps import AppFact
from midstage.contracts.scaling import ScalingFact
from midstage.eventlog.auditing import Auditing
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Log
from midstage.eventlog.snapshots import Snapshots, code_of
from midstage.eventlog.versions import Versions
from midstage.hpa import api
from midstage.hpa.api import ordering
from midstage.hpa.api.orders import Orders
from midstage.hpa.config import Settings, from_env
from midstage.hpa.decide import alarms, scaling
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.metrics import Metrics
from midstage.hpa.model import Alarms, Asked, Scaler
from midstage.hpa.stream.alarming import Alarming
from midstage.hpa.stream.deciding import Deciding
from midstage.hpa.stream.evaluating import Evaluating
from midstage.hpa.stream.folding import Topics
from midstage.hpa.stream.judging import Judges
from midstage.hpa.stream.owning import Owning
from midstage.hpa.stream.past import Past
from midstage.hpa.stream.processors import beside
from midstage.hpa.stream.remembering import Remembering
from midstage.hpa.stream.replay import replaying
from midstage.hpa.stream.replay_command import command
from midstage.hpa.stream.sharing import Sharing
from midstage.hpa.stream.telling import Telling

SERVICE = "hpa"
VERSION = "0.1.0"


def compose(
    settings: Settings,
    *,
    log: Log | None = None,
    topics: Topics | None = None,
    clock: Clock | None = None,
    reached: Failpoint = nothing,
) -> Process:
    """The process; ``log``, ``topics`` and ``clock`` are swapped by tests alone."""
    clock = clock or SystemClock()
    topics = topics or Topics()
    log = log or KafkaLog(bootstrap=settings.kafka, client_id=f"midstage.{SERVICE}")
    apps = _apps(log, topics, clock)
    scalers = _scalers(log, topics, clock, reached)
    told = _alarms(log, topics, clock)
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    instance = uuid.uuid4().hex
    member = f"{SERVICE}/{instance}"
    deciding = Deciding(
        apps=apps,
        scaling=scalers,
        owning=Owning(held=scalers.held, partitions=topics.scaling.partitions, owner=member),
        telling=Telling(log=log, topic=topics.evaluations.name, member=member),
        engine=ENGINE,
        now=clock.now,
        metrics=metrics,
        reached=reached,
    )
    evaluating = Evaluating(
        log=log,
        topics=topics,
        deciding=deciding,
        alarming=Alarming(
            alarms=told,
            owning=Owning(held=told.held, partitions=topics.alarms.partitions, owner=member),
            now=clock.now,
            metrics=metrics,
        ),
        remembering=Remembering(
            log=log,
            topic=topics.peaks.name,
            instance=instance,
            now=clock.now,
            metrics=metrics,
        ),
        metrics=metrics,
        now=clock.now,
        monotonic=clock.monotonic,
    )
    sharing = Sharing(
        log=log,
        topic=topics.members,
        member=member,
        partitions=topics.scaling.partitions,
        scaling=scalers,
        alarms=told,
        able=evaluating.caught_up,
        metrics=metrics,
        now=clock.now,
        monotonic=clock.monotonic,
    )
    others = beside() if settings.replay_processes is None else settings.replay_processes
    judges = Judges(others) if others > 0 else None
    readiness = Readiness()
    readiness.add("apps", apps.caught_up)
    readiness.add("scaling", scalers.caught_up)
    readiness.add("evaluating", evaluating.caught_up)
    readiness.add("sharing", sharing.following)
    decided = api.Decided(
        apps=apps,
        scaling=scalers,
        latest=evaluating.latest,
        past=Past(log=log, topic=topics.evaluations, now=clock.now).at,
        alarms=told.states,
        replaying=lambda which: replaying(log, topics=topics, which=which, judges=judges),
        now=clock.now,
    )
    auditing = Auditing(
        log=log,
        topic=topics.audit,
        source=f"{SERVICE}/{uuid.uuid4().hex}",
        new_id=lambda: uuid.uuid4().hex,
        lost=told_lost(metrics.audit_lost.inc),
    )
    audit = Audit(service=SERVICE, note=auditing.note, now=clock.now)
    orders = Orders(
        apps=apps,
        log=scalers,
        tried=evaluating.trials.ask,
        now=clock.now,
        new_id=lambda: uuid.uuid4().hex,
    )
    return Process(
        service=SERVICE,
        app=http.build(
            service=SERVICE,
            version=VERSION,
            readiness=readiness,
            registry=registry,
            token=secret(settings.token_file),
            routers=[api.router(decided), ordering.router(orders, audit)],
        ),
        host=settings.host,
        port=settings.port,
        loops=[apps, scalers, told, evaluating, sharing, auditing],
    )


def _apps(log: Log, topics: Topics, clock: Clock) -> Versions[Asked, AppFact]:
    """Another service's log: read, never snapshotted, lest its own snapshots be overwritten."""
    return Versions[Asked, AppFact](
        log=log,
        topic=topics.apps,
        initial=Asked(),
        evolve=scaling.asked,
        engine=ENGINE,
        now=clock.now,
        monotonic=clock.monotonic,
    )


def _scalers(
    log: Log, topics: Topics, clock: Clock, reached: Failpoint
) -> Versions[Scaler, ScalingFact]:
    return Versions[Scaler, ScalingFact](
        log=log,
        topic=topics.scaling,
        initial=Scaler(),
        evolve=scaling.evolve,
        engine=ENGINE,
        now=clock.now,
        monotonic=clock.monotonic,
        reached=reached,
        snapshots=Snapshots(
            log=log, topic=topics.scaling, state=Scaler, code=code_of(scaling.evolve), every=1_000
        ),
    )


def _alarms(log: Log, topics: Topics, clock: Clock) -> Versions[Alarms, AlarmFact]:
    return Versions[Alarms, AlarmFact](
        log=log,
        topic=topics.alarms,
        initial=Alarms(),
        evolve=alarms.evolve,
        engine=ENGINE,
        now=clock.now,
        monotonic=clock.monotonic,
    )


def main(env: Mapping[str, str], *, reached: Failpoint = nothing) -> int:
    """Run until told to stop; the process's exit code."""
    return start(SERVICE, lambda: compose(from_env(env), reached=reached))


def replay(arguments: list[str]) -> int:
    """Make all evaluations in a Kafka again; the exit code: 1 where one differs."""
    return command(
        arguments, log_at=lambda address: KafkaLog(bootstrap=address, client_id="midstage.replay")
    )


def backtest(arguments: list[str]) -> int:
    """Try a policy on a past; the exit code: 1 where the past or a policy can't be read."""
    from midstage.hpa.simulate.command import (  # noqa: PLC0415  a tenth of every start
        command as backtested,
    )

    return backtested(
        arguments, log_at=lambda address: KafkaLog(bootstrap=address, client_id="midstage.backtest")
    )


def tune(arguments: list[str]) -> int:
    """Tune a policy on a past; the exit code: 1 where the past can't be read or is too short."""
    from midstage.hpa.simulate.tuning_command import command as tuned  # noqa: PLC0415  as above

    return tuned(
        arguments, log_at=lambda address: KafkaLog(bootstrap=address, client_id="midstage.tune")
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["tune"]:
        sys.exit(tune(sys.argv[2:]))
    if sys.argv[1:2] == ["backtest"]:
        sys.exit(backtest(sys.argv[2:]))
    sys.exit(replay(sys.argv[2:]) if sys.argv[1:2] == ["replay"] else main(os.environ))
