"""A replay as the log tells it: an application whose replicas follow two waves of load."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from midstage.contracts.cluster import (
    OBJECT_GONE,
    POD_OBSERVED,
    POD_USED,
    ClusterFact,
    Kind,
    ObjectGone,
    Phase,
    PodObserved,
    PodUsed,
    key_of,
)
from midstage.contracts.fact import Event
from midstage.contracts.policy import Policy, Targets
from midstage.contracts.requests import Outcome
from midstage.contracts.scaling import Evaluation, Inputs, ScaleDecided
from midstage.eventlog.appended import command, written
from midstage.eventlog.codec import message
from midstage.eventlog.log import Log, Message
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.local.replay.listing import CallerRow
from midstage.local.replay.told import TOPICS, Topics

BEGUN = datetime(2026, 7, 1, 12, tzinfo=UTC)
POLICY = Policy(max=10, targets=Targets(concurrency=5))


def after(seconds: float) -> datetime:
    """So many seconds after the first request."""
    return BEGUN + timedelta(seconds=seconds)


def decided(
    seconds: float, before: int, to: int, *, app: str = "chat", load: float | None = 0.4
) -> ScaleDecided:
    """A decision whose load was seen to its end ``load`` seconds before."""
    at = after(seconds)
    inputs = Inputs(app=app, now=at, policy=POLICY, spec_version=1, current=before)
    reason = f"concurrency wants {to}"
    return ScaleDecided(
        app=app,
        replicas=to,
        previous=before,
        reason=reason,
        at=at,
        load_at=None if load is None else after(seconds - load),
        evaluation=Evaluation(inputs=inputs, replicas=to, reason=reason),
    )


def pod(
    seconds: float,
    name: str,
    *,
    version: int,
    ready: bool = True,
    draining: bool = False,
    app: str = "chat",
    epoch: int = 1,
) -> PodObserved:
    """A pod as it was seen so many seconds after the first request."""
    return PodObserved(
        cluster="local",
        name=name,
        epoch=epoch,
        observed_at=after(seconds),
        uid=f"uid-{name}",
        resource_version=version,
        app=app,
        phase=Phase.RUNNING if ready else Phase.STARTING,
        ready=ready,
        draining=draining,
        created_at=after(seconds),
    )


def gone(seconds: float, name: str, *, version: int, app: str = "chat") -> ObjectGone:
    """A pod that is not there any more."""
    return ObjectGone(
        cluster="local",
        name=name,
        epoch=1,
        observed_at=after(seconds),
        uid=f"uid-{name}",
        resource_version=version,
        kind=Kind.POD,
        app=app,
    )


def call(seconds: float, *, lasts: float = 1.5, number: int = 1) -> CallerRow:
    """A request that was sent then."""
    return CallerRow(
        ref=f"run-{number:07d}",
        customer="elm-insurance",
        app="chat",
        status=200,
        outcome=Outcome.OK,
        usage={"requests": 1},
        estimated=False,
        streamed=False,
        duration_ms=lasts * 1000,
        ttft_ms=None,
        late_ms=0.0,
        ended_at=after(seconds + lasts),
    )


def waves(length_s: int = 190) -> Sequence[CallerRow]:
    """Two crests of 30 requests a second and valleys of 6, with a first request at zero."""
    starts = [s + n / rate for s in range(length_s) for rate in [_rate(s)] for n in range(rate)]
    return [call(start, number=number) for number, start in enumerate(starts, 1)]


def _rate(second: int) -> int:
    return 30 if 15 <= second < 50 or 90 <= second < 125 or second >= 168 else 6


DECISIONS = (
    decided(-60, 0, 2),
    *(decided(17, 2, 4), decided(22, 4, 7), decided(64, 7, 4), decided(69, 4, 2)),
    *(decided(93, 2, 5), decided(98, 5, 7), decided(140, 7, 4), decided(145, 4, 2)),
    decided(170.5, 2, 6),
    decided(20, 1, 2, app="code"),
)


def life(name: str, *, ready: float, leaves: float | None, ends: float = 0.0) -> list[ClusterFact]:
    """A pod that starts 2 s before it is ready, and may drain and end."""
    facts: list[ClusterFact] = [
        pod(ready - 2, name, version=1, ready=False),
        pod(ready, name, version=2),
    ]
    if leaves is not None:
        facts.append(pod(leaves, name, version=3, draining=True))
        facts.append(gone(ends, name, version=4))
    return facts


def pods() -> list[ClusterFact]:
    """Pods that follow ``DECISIONS``: 2.5 s to be ready, 4 s to drain."""
    facts = [*life("a", ready=-50, leaves=None), *life("b", ready=-50, leaves=None)]
    for wave, (first, second, less, least) in enumerate(((17, 22, 64, 69), (93, 98, 140, 145))):
        early = 2 if wave == 0 else 3
        for n in range(5):
            up = first if n < early else second
            down = least if n < 2 else less
            name = f"w{wave}-{n}"
            facts += life(name, ready=up + 2.5, leaves=down + 0.3, ends=down + 4)
    for n in range(4):
        facts += life(f"z-{n}", ready=173 + n / 10, leaves=None)
    return facts


def log_of(decisions: Sequence[ScaleDecided], facts: Sequence[ClusterFact]) -> MemoryLog:
    """A log that holds them, and what nobody can read."""
    log = MemoryLog()
    said(log, decisions, facts)
    return log


def said(
    log: Log,
    decisions: Sequence[ScaleDecided],
    facts: Sequence[ClusterFact],
    topics: Topics = TOPICS,
) -> None:
    """Make the topics and write it all there, and a line of garbage."""
    both = (topics.cluster, topics.scaling)
    log.create([settings for topic in both for settings in settings_of(topic)])
    garbage = Message(topic=topics.cluster.name, key=b"x", value=b"{")
    _send(log, [*_clustered(facts, topics), garbage, *_appended(decisions, topics)])


def sent(log: Log, facts: Sequence[ClusterFact]) -> None:
    """Say more of the cluster."""
    _send(log, list(_clustered(facts, TOPICS)))


def _send(log: Log, messages: Sequence[Message]) -> None:
    writer = log.writer()
    for one in messages:
        writer.send(one)
    assert writer.flush(60.0) == 0
    writer.close()


def _clustered(facts: Sequence[ClusterFact], topics: Topics) -> Iterator[Message]:
    types = {PodObserved: POD_OBSERVED, ObjectGone: OBJECT_GONE, PodUsed: POD_USED}
    for number, fact in enumerate(facts):
        event = Event(
            id=f"{number}",
            source="control",
            type=types[type(fact)],
            time=fact.observed_at,
            data=fact,
        )
        key = key_of(cluster=fact.cluster, kind=Kind.POD, namespace="", name=fact.name)
        yield message(event, topic=topics.cluster.name, key=key)


def _appended(decisions: Sequence[ScaleDecided], topics: Topics) -> Iterator[Message]:
    versions: dict[str, int] = {}
    for number, fact in enumerate(sorted(decisions, key=lambda fact: fact.at)):
        versions[fact.app] = versions.get(fact.app, 0) + 1
        yield written(
            topics.scaling,
            event_id=f"d{number}",
            by=command(key=fact.app, command_id=f"c{number}", payload=b""),
            version=versions[fact.app],
            engine="test",
            facts=[fact],
            at=fact.at,
        )
