"""From a load fact to the decision that is read back, with 300 applications on the real Kafka.

Each second a load fact of every application is written at once, as stats does, and each changes its
count. The peer reads each load fact and sends it on, with nothing in between. Counted is from the
moment that a fact is handed over until a consumer has read what came of it, or of a newer one.
"""

import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import httpx
import msgspec
import psutil
from confluent_kafka import Consumer, TopicPartition

from midstage.contracts.fact import Event
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.contracts.policy import Policy, Rate, Targets
from midstage.eventlog.codec import message as message_of
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Message
from midstage.testkit.waiting import within
from tests.bench.children import last_words, module, running
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved, quantile
from tests.bench.topics import removed
from tests.hpa.conftest import ALL, Others, created, now, records, settings_in, topics_of

GROUP: Final = "hpa-decisions"
P50: Final = Measure(name="load fact to its decision, p50", unit="ms", more_is_better=False)
P99: Final = Measure(name="load fact to its decision, p99", unit="ms", more_is_better=False)
CPU: Final = Measure(name="processor of all processes", unit="ms/fact", more_is_better=False)
FORWARDED, ONE, THREE = "bare confluent-kafka", "midstage hpa", "midstage hpa, 3 processes"
APPS: Final = 300
SECONDS: Final = 20
QUICK_SECONDS: Final = 4
_FIRST: Final = 50
_GROWTH: Final = 1.12
"""More each second than the tolerance, and never less: nothing holds a rising count back."""
_WITHIN_S: Final = 300.0
_SHARED_WITHIN_S: Final = 3.0
_SECOND: Final = timedelta(seconds=1)
_FREE: Final = Rate(pods=1000, percent=10_000)
POLICY: Final = Policy(
    min=1, max=1000, targets=Targets(concurrency=1), window_s=1, up=_FREE, down=_FREE
)


class Way(Protocol):
    """How load facts are answered: its processes and the topic of the answers, while it runs."""

    def __call__(
        self, bootstrap: str, directory: Path, suffix: str, others: Others
    ) -> AbstractContextManager[tuple[list[int], str]]:
        """Begin; ready when it is entered."""
        ...


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Rounds of some seconds; facts that find no answer raise TimeoutError."""
    seconds = QUICK_SECONDS if size.rounds == 1 else SECONDS
    ways: list[tuple[str, Way]] = [
        (FORWARDED, _forwarding),
        (ONE, partial(_deciding, 1)),
        (THREE, partial(_deciding, 3)),
    ]
    taken = interleaved(
        [
            Contestant(name=name, run=partial(_run, way, bootstrap, directory, seconds))
            for name, way in ways
        ],
        group=GROUP,
        rounds=min(3, size.rounds),
    )
    counts = dict.fromkeys((FORWARDED, ONE, THREE), f"{APPS} applications, {seconds} s")
    return figures(
        group=GROUP, measures=[P50, P99, CPU], taken=taken, peers=(FORWARDED,), counts=counts
    )


class _Inputs(msgspec.Struct):
    now: datetime
    load: "_Load"


class _Load(msgspec.Struct):
    gauged_until: datetime | None = None


class _Evaluation(msgspec.Struct):
    inputs: _Inputs


class _Decided(msgspec.Struct):
    app: str
    evaluation: _Evaluation


class _Told(msgspec.Struct):
    """Of a decision its facts, of a load fact its second; of a taken partition nothing."""

    facts: tuple[_Decided, ...] = ()
    app: str = ""
    second: datetime | None = None


class _Record(msgspec.Struct):
    data: _Told


_READ: Final = msgspec.json.Decoder(_Record)


def _answered(value: bytes) -> Iterator[tuple[str, datetime]]:
    """Applications, and up to when their load is answered."""
    told = _READ.decode(value).data
    if told.second is not None:
        yield told.app, told.second + _SECOND
    for fact in told.facts:
        until = fact.evaluation.inputs.load.gauged_until
        yield fact.app, until or datetime.min.replace(tzinfo=fact.evaluation.inputs.now.tzinfo)


def _run(way: Way, bootstrap: str, directory: Path, seconds: int) -> Mapping[str, float]:
    suffix = uuid.uuid4().hex[:8]
    names, log = topics_of(suffix), KafkaLog(bootstrap=bootstrap, client_id="bench")
    created(log, names)
    others = Others(log=log, names=names)
    with ExitStack() as stack:
        answering = way(bootstrap, directory / suffix, suffix, others)
        processes, topic = stack.enter_context(answering)
        reader = stack.enter_context(_reading(bootstrap, topic))
        before = _cpu_s(processes)
        took_ms = _measured(others, reader, seconds)
        cpu_s = _cpu_s(processes) - before
    if others.writer is not None:
        others.writer.close()
    removed(bootstrap, *(getattr(names, name).name for name in ALL))
    return {
        P50.name: quantile(took_ms, 0.5),
        P99.name: quantile(took_ms, 0.99),
        CPU.name: cpu_s * 1000 / (APPS * seconds),
    }


def _measured(others: Others, reader: Consumer, seconds: int) -> Sequence[float]:
    """What each fact took, in ms; the first second is for warming up."""
    waiting: dict[str, list[tuple[datetime, float]]] = {_name(n): [] for n in range(APPS)}
    took_ms: list[float] = []
    stop = threading.Event()
    telling = threading.Thread(target=_tell, args=(others, waiting, seconds + 1, stop))
    telling.start()
    deadline = time.monotonic() + seconds + _WITHIN_S
    try:
        while len(took_ms) < APPS * (seconds + 1):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(took_ms)} of {APPS * (seconds + 1)} facts were answered")
            message = reader.poll(0.2)
            if message is None or message.error() is not None:
                continue
            at = time.perf_counter()
            for app, until in _answered(message.value() or b""):
                held = waiting[app]
                while held and held[0][0] <= until:
                    took_ms.append((at - held.pop(0)[1]) * 1000)
    finally:
        stop.set()
        telling.join()
    return took_ms[APPS:]


def _tell(
    others: Others,
    waiting: dict[str, list[tuple[datetime, float]]],
    seconds: int,
    stop: threading.Event,
) -> None:
    """All applications' load each second, as long as it can rise; the first ``seconds`` count."""
    writer = others.log.writer()
    begin, first = time.monotonic(), now().replace(microsecond=0) - _SECOND
    for number, in_flight in enumerate(_rising()):
        if stop.wait(max(0.0, begin + number - time.monotonic())):
            break
        others.reach()
        second = first + number * _SECOND
        for app, held in waiting.items():
            message = _load(others, app, second, in_flight)
            if number < seconds:
                held.append((second + _SECOND, time.perf_counter()))
            writer.send(message)
    writer.close()


def _rising() -> Iterator[int]:
    """Loads up to the largest count."""
    in_flight = _FIRST
    while in_flight <= POLICY.max:
        yield in_flight
        in_flight = int(in_flight * _GROWTH)


def _load(others: Others, app: str, second: datetime, in_flight: int) -> Message:
    fact = LoadObserved(
        app=app,
        second=second,
        shard=0,
        shards=1,
        complete_until=second + _SECOND,
        in_flight=in_flight,
        pending=0,
    )
    event = Event(id=uuid.uuid4().hex, source="bench", type=LOAD_OBSERVED, time=second, data=fact)
    return message_of(event, topic=others.names.load.name, key=app)


def _name(number: int) -> str:
    return f"app-{number}"


@contextmanager
def _forwarding(
    bootstrap: str, directory: Path, suffix: str, others: Others
) -> Iterator[tuple[list[int], str]]:
    del suffix
    source, sink = others.names.load.name, others.names.evaluations.name
    command = module("tests.bench.forwarder", bootstrap, source, sink)
    with running(command, log=directory / "forwarder.log") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield [child.pid], sink


@contextmanager
def _deciding(
    count: int, bootstrap: str, directory: Path, suffix: str, others: Others
) -> Iterator[tuple[list[int], str]]:
    others.reach()
    for number in range(APPS):
        others.specify(_name(number), POLICY, replicas=2)
    with ExitStack() as stack:
        pids = [
            stack.enter_context(_hpa(bootstrap, directory / str(number), suffix))
            for number in range(count)
        ]
        _await_first(others)
        time.sleep(_SHARED_WITHIN_S)  # the last ones have their share
        yield pids, others.names.scaling.name


def _await_first(others: Others) -> None:
    """Each application has its first count."""
    wanted = {_name(number).encode() for number in range(APPS)}
    within(
        _WITHIN_S,
        lambda: wanted <= {each.key for each in records(others.log, others.names.scaling)},
        every=0.5,
    )


@contextmanager
def _hpa(bootstrap: str, directory: Path, suffix: str) -> Iterator[int]:
    directory.mkdir(parents=True)
    settings = settings_in(directory)
    env = {
        "MIDSTAGE_HPA_KAFKA": bootstrap,
        "MIDSTAGE_HPA_PORT": str(settings.port),
        "MIDSTAGE_HPA_TOKEN_FILE": str(settings.token_file),
    }
    log = directory / "log"
    with running(module("tests.hpa.serving", suffix), log=log, env=env) as child:
        url = f"http://127.0.0.1:{settings.port}/readyz"
        within(_WITHIN_S, lambda: child.poll() is not None or _is_ready(url), every=0.5)
        if child.poll() is not None:
            raise RuntimeError(f"hpa ended; its last words: {last_words(log)}")
        yield child.pid


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@contextmanager
def _reading(bootstrap: str, topic: str) -> Iterator[Consumer]:
    """From the end of the topic on."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False}
    )
    found = consumer.list_topics(topic, timeout=_WITHIN_S).topics[topic].partitions
    starts = [TopicPartition(topic, number) for number in found]
    for each in starts:
        each.offset = consumer.get_watermark_offsets(each, timeout=_WITHIN_S)[1]
    consumer.assign(starts)
    try:
        yield consumer
    finally:
        consumer.close()


def _cpu_s(pids: Sequence[int]) -> float:
    """Of the processes and their children so far."""
    times = [
        each.cpu_times()
        for pid in pids
        for each in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
    ]
    return sum(each.user + each.system for each in times)
