"""Ten thousand applications with four rules each: processor time of one round, and memory.

A round is what the service does for each application when its load has come: the record of a load
decoded and folded, inputs, evaluation, its record written, and that read back and folded. Twice the
applications are to take twice the time. Each application has minutes of load and four pods.
"""

import gc
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from midstage.contracts.capacity import Latency
from midstage.contracts.cluster import Amount, ClusterReached, Phase, PodObserved, PodUsed
from midstage.contracts.fact import Event, Fact
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.contracts.policy import Policy, Targets
from midstage.contracts.scaling import EVALUATION_MADE, EvaluationMade
from midstage.contracts.sketch import packed, sketch
from midstage.contracts.topics import EVALUATIONS, LOAD, Topic
from midstage.eventlog.codec import message
from midstage.eventlog.log import Partition, Record
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.stream.folding import Folding, Topics
from midstage.hpa.views.world import Standing
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Size, say

GROUP = "hpa-many"
COUNTS = (100, 1_000, 10_000, 20_000)
QUICK_COUNTS = (100, 400)
TIME = Measure(name="one round of all applications", unit="CPU s", more_is_better=False)
EACH = Measure(name="one application", unit="CPU us", more_is_better=False)
MEMORY = Measure(name="memory of the process", unit="MiB", more_is_better=False)
PODS = 4
SECONDS = 720
QUICK_SECONDS = 60
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
POLICY = Policy(
    max=50,
    targets=Targets(requests_per_s=10, concurrency=4, cpu=0.6),
    latency=Latency(p99_ms=500),
    window_s=60,
)
OFFSETS = {f"topic.of.the.platform.v1/{number}": 10**9 + number for number in range(24)}
LATENCIES = packed(sketch([20.0 + 7 * number for number in range(20)]))
_SECOND = timedelta(seconds=1)
_STANDING = Standing(
    asked=Asked(policy=POLICY, initial=2),
    spec_version=1,
    scaler=Scaler(count=PODS, facts=1),
    scale_version=1,
)


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Growing numbers of applications in one process; no broker is asked."""
    del bootstrap, directory
    quick = size.rounds == 1
    counts = QUICK_COUNTS if quick else COUNTS
    taken: dict[str, dict[str, list[float]]] = {}
    names = {count: f"{count:,} applications" for count in counts}
    for count in counts:
        for name, value in _measured(count, QUICK_SECONDS if quick else SECONDS).items():
            taken.setdefault(name, {})[names[count]] = [value]
            say(f"{GROUP}: {names[count]}: {name} {value:,.2f}")
    return figures(
        group=GROUP,
        measures=[TIME, EACH, MEMORY],
        taken=taken,
        peers=(names[counts[0]],),
        counts=dict.fromkeys(names.values(), f"four rules, {PODS} pods each"),
    )


def _measured(count: int, seconds: int) -> Mapping[str, float]:
    folding = Folding(Topics())
    latest: dict[str, EvaluationMade] = {}
    _filled(folding, count, seconds)
    _round(folding, count, 0, latest)
    records = [_record(LOAD, LOAD_OBSERVED, _load(number, NOW)) for number in range(count)]
    gc.collect()
    begin = time.process_time()
    for number, record in enumerate(records):
        folding.fold(record)
        _evaluated(folding, number, 1, latest)
    took = time.process_time() - begin
    return {TIME.name: took, EACH.name: took / count * 1e6, MEMORY.name: _resident_mib()}


def _round(folding: Folding, count: int, second: int, latest: dict[str, EvaluationMade]) -> None:
    for number in range(count):
        _evaluated(folding, number, second, latest)


def _evaluated(
    folding: Folding, number: int, second: int, latest: dict[str, EvaluationMade]
) -> None:
    app = f"app-{number}"
    now = NOW + second * _SECOND
    made = evaluate(folding.world.inputs(app, _STANDING, POLICY, now))
    evaluation = msgspec.structs.replace(made, engine="bench", offsets=OFFSETS)
    fact = EvaluationMade(app=app, evaluation=evaluation)
    read = folding.fold(_record(EVALUATIONS, EVALUATION_MADE, fact))
    if isinstance(read, EvaluationMade):
        latest[app] = read


def _record(topic: Topic, type_: str, fact: LoadObserved | EvaluationMade) -> Record:
    event: Event[Fact] = Event(id="bench/1", source="bench", type=type_, time=NOW, data=fact)
    made = message(event, topic=topic.name, key=fact.app)
    return Record(
        partition=Partition(topic=topic.name, number=0),
        offset=0,
        key=made.key,
        value=made.value,
        headers=tuple(made.headers),
        timestamp_ms=int(NOW.timestamp() * 1000),
    )


def _filled(folding: Folding, count: int, seconds: int) -> None:
    world = folding.world
    world.cluster(ClusterReached(cluster="bench", name="bench", epoch=1, observed_at=NOW))
    for number in range(count):
        for second in range(seconds, 0, -1):
            world.load(_load(number, NOW - second * _SECOND), NOW)
        for pod in range(PODS):
            world.cluster(_pod(number, pod))
            world.cluster(_used(number, pod))


def _load(number: int, second: datetime) -> LoadObserved:
    return LoadObserved(
        app=f"app-{number}",
        second=second,
        shard=0,
        shards=1,
        complete_until=second + _SECOND,
        outcomes={"ok": 20 + number % 100, "refused": 3},
        in_flight=number % 40,
        pending=number % 3,
        latency_ms=LATENCIES,
    )


def _pod(number: int, pod: int) -> PodObserved:
    return PodObserved(
        cluster="bench",
        name=f"app-{number}-{pod}",
        namespace="bench",
        epoch=1,
        observed_at=NOW,
        resource_version=1,
        app=f"app-{number}",
        phase=Phase.RUNNING,
        ready=True,
        requests=Amount(cpu=1.0, memory_mb=512),
        created_at=NOW - timedelta(hours=1),
        started_at=NOW - timedelta(hours=1),
        ready_at=NOW - timedelta(minutes=50),
    )


def _used(number: int, pod: int) -> PodUsed:
    return PodUsed(
        cluster="bench",
        name=f"app-{number}-{pod}",
        namespace="bench",
        epoch=1,
        observed_at=NOW,
        app=f"app-{number}",
        cpu=(number % 100) / 100,
        memory_mb=100,
    )


def _resident_mib() -> float:
    """What the process holds now; Linux."""
    gc.collect()
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
    )
    return int(line.split()[1]) / 1024
