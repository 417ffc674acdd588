"""The race of the replay from a log: evaluations that are all different, read from the real Kafka.

Applications under a policy of each kind live through days, each evaluation from what the one before
left, and all of it is made again: to the byte, or the race ends. With other processes, one and two,
and without. The peer reads the same records, decodes and writes them again, and decides nothing.
"""

import resource
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import msgspec

from midstage.contracts.fact import Event
from midstage.contracts.scaling import EVALUATION_MADE, EvaluationMade
from midstage.eventlog.codec import message
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Log
from midstage.eventlog.standing import standing
from midstage.hpa.stream.folding import Topics
from midstage.hpa.stream.judging import Judges
from midstage.hpa.stream.replay import replayed
from midstage.hpa.views.replays import Which
from tests.bench.again import KINDS
from tests.bench.figures import Figure, Measure, figures
from tests.bench.lives import Life
from tests.bench.rounds import Contestant, Size, interleaved, say
from tests.bench.topics import removed
from tests.hpa.conftest import ALL, created, topics_of

GROUP: Final = "replay-log"
CPU: Final = Measure(name="evaluations of a log made again", unit="/s of CPU")
CLOCK: Final = Measure(name="the same by the clock", unit="/s")
BARE: Final = "read and written again"
OURS: Final = "midstage replay, shallow"
OTHERS: Final = (1, 2)
_EACH: Final = 1_000
"""So many evaluations has an application, four hours of them."""
_Judge = Callable[[Log, Topics], int]


class _Envelope(msgspec.Struct):
    data: EvaluationMade


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """``size.evaluations`` in a topic of their own; every one is to come out as it was."""
    del directory
    log, names = KafkaLog(bootstrap=bootstrap, client_id="bench"), topics_of(uuid.uuid4().hex[:8])
    created(log, names)
    try:
        _write(log, names, size.evaluations)
        judges: dict[str, _Judge] = {BARE: _rewritten, OURS: partial(_again, None)}
        judges |= {f"{OURS}, {n} more processes": partial(_again, Judges(n)) for n in OTHERS}
        runs = [
            Contestant(name=name, run=partial(_timed, judge, log, names, size.evaluations))
            for name, judge in judges.items()
        ]
        taken = interleaved(runs, group=GROUP, rounds=min(3, size.rounds))
    finally:
        removed(bootstrap, *(getattr(names, name).name for name in ALL))
    counts = dict.fromkeys(judges, f"{size.evaluations:,} evaluations, no two alike")
    return figures(group=GROUP, measures=[CPU, CLOCK], taken=taken, peers=(BARE,), counts=counts)


def _timed(judge: _Judge, log: Log, names: Topics, count: int) -> Mapping[str, float]:
    cpu_s, begin = _cpu_s(), time.perf_counter()
    found = judge(log, names)
    assert found == count, f"{found:,} of {count:,} are made again to the byte"
    return {
        CPU.name: count / (_cpu_s() - cpu_s),
        CLOCK.name: count / (time.perf_counter() - begin),
    }


def _cpu_s() -> float:
    """Of this process, and of its others that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _again(judges: Judges | None, log: Log, names: Topics) -> int:
    found = replayed(log, topics=names, which=Which(), judges=judges)
    assert found.equal, found.first_difference
    return found.from_stored_equal


def _rewritten(log: Log, names: Topics) -> int:
    decoder, encoder = msgspec.json.Decoder(_Envelope), msgspec.json.Encoder()
    values = (record.value or b"" for record in standing(log, names.evaluations.name))
    return sum(
        value.endswith(encoder.encode(decoder.decode(value).data) + b"}") for value in values
    )


def _write(log: Log, names: Topics, count: int) -> None:
    writer = log.writer()
    try:
        for number, made in enumerate(islice(_lived(), count), start=1):
            event = Event(
                id=f"hpa/bench/{number}",
                source="hpa/bench",
                type=EVALUATION_MADE,
                time=made.evaluation.inputs.now,
                subject=made.app,
                data=made,
            )
            writer.send(message(event, topic=names.evaluations.name, key=made.app))
            if number % 50_000 == 0:
                say(f"{GROUP}: {number:,} of {count:,} evaluations are written")
        assert writer.flush(60) == 0
    finally:
        writer.close()


def _lived() -> Iterator[EvaluationMade]:
    """Of applications under each kind of policy in turn, a life after the other."""
    for seed, policy in enumerate(cycle(KINDS)):
        yield from islice(Life(f"app-{seed}", policy, seed).evaluations(), _EACH)
