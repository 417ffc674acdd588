"""Checks of strict limits: how long one takes until the log has it, and how many at once.

Three limits, all strict, asked in closed loops; beside them what one record takes that is written
and read back by a program that does nothing else. What passed by the failure rule, because the log
took longer than a check may, is counted apart.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from midstage.contracts.topics import SPENDS
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Message, Partition, Reader, Writer
from midstage.eventlog.topics import settings_of
from midstage.throttle.adapters.questions import DOMAIN
from tests.bench import loading
from tests.bench.checking import NATIVE, consumed_s, question
from tests.bench.figures import Figure, Measure, figures
from tests.bench.limiter import Limiter, limiting
from tests.bench.rounds import Contestant, Size, interleaved, quantile, say

GROUP: Final = "checks-strict"
OURS, RECORD = "midstage throttle, strict", "one record, written and read back"
STREAMS: Final = (1, 8, 64)
_FEWER: Final = 8
"""A stream that is alone has so much less to do."""
_ALLOWED: Final = "failure_mode_allowed"


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Rounds of each number of streams."""
    directory /= GROUP
    directory.mkdir()
    if absent := loading.missing("h2load"):
        say(f"{GROUP}: {absent}: nothing is measured")
        return []
    count = size.commands * 20
    contestants = [
        Contestant(name=OURS, run=partial(_ours, bootstrap, directory, count)),
        Contestant(name=RECORD, run=partial(_record, bootstrap, count // _FEWER)),
    ]
    taken = interleaved(contestants, group=GROUP, rounds=min(3, size.rounds))
    measures = [each for streams in STREAMS for each in _measures(streams)]
    counts = {OURS: f"{count:,} checks", RECORD: f"{count // _FEWER:,} records"}
    return figures(group=GROUP, measures=measures, taken=taken, peers=(RECORD,), counts=counts)


def _measures(streams: int) -> tuple[Measure, ...]:
    plural = "stream" if streams == 1 else "streams"
    return (
        Measure(name=f"{streams} {plural}, checks", unit="/s"),
        Measure(name=f"{streams} {plural}, p50", unit="ms", more_is_better=False),
        Measure(name=f"{streams} {plural}, p99", unit="ms", more_is_better=False),
        Measure(name=f"{streams} {plural}, by the failure rule", unit="%", more_is_better=False),
        Measure(name=f"{streams} {plural}, processor", unit="CPU us/check", more_is_better=False),
    )


def _ours(bootstrap: str, directory: Path, count: int) -> Mapping[str, float]:
    measured: dict[str, float] = {}
    with _asked(bootstrap, directory) as (ours, body):
        loading.checks(ours.port, body=body, count=count // 10, streams=STREAMS[-1])  # warm
        for streams in STREAMS:
            most = count if streams > 1 else count // _FEWER
            before, cpu_s = ours.counted(_ALLOWED), consumed_s([ours.pid])
            load = loading.checks(ours.port, body=body, count=most, streams=streams)
            cpu_us = (consumed_s([ours.pid]) - cpu_s) / most * 1e6
            share = (ours.counted(_ALLOWED) - before) / most * 100
            found = (load.rate, load.p50_us / 1000, load.p99_us / 1000, share, cpu_us)
            measured |= {m.name: v for m, v in zip(_measures(streams), found, strict=True)}
    return measured


@contextmanager
def _asked(bootstrap: str, directory: Path) -> Iterator[tuple[Limiter, Path]]:
    """A server of its own, and what it is asked."""
    place = directory / f"{time.monotonic_ns()}"
    with limiting(bootstrap, place, strict=True) as ours:
        yield ours, question(DOMAIN, NATIVE, place)


def _record(bootstrap: str, count: int) -> Mapping[str, float]:
    """One at a time, as a stream that is alone asks."""
    log = KafkaLog(bootstrap=bootstrap, client_id="bench")
    topic = replace(SPENDS, name="midstage.bench-records.v1")
    log.create(settings_of(topic))
    place = Partition(topic=topic.name, number=0)
    writer, reader = log.writer(), log.reader(log.ends([place]))
    try:
        took_s = [_trip(writer, reader, place) for _ in range(count)]
    finally:
        writer.close()
        reader.close()
    rate, p50, p99, *_ = _measures(STREAMS[0])
    return {
        rate.name: count / sum(took_s),
        p50.name: quantile(took_s, 0.5) * 1000,
        p99.name: quantile(took_s, 0.99) * 1000,
    }


def _trip(writer: Writer, reader: Reader, place: Partition) -> float:
    began = time.perf_counter()
    writer.send(Message(topic=place.topic, key=b"bench", value=b"{}", partition=place.number))
    while not reader.poll(most=1, timeout_s=1.0):
        pass
    return time.perf_counter() - began
