"""How long throttle takes until it may count again, with the claims of many counters in the log.

From the start of the reading, in a process of its own, until all is folded and every partition is
taken. The peer reads the same records by the bare client and counts them.

``python -m tests.bench.recounting ours|bare BOOTSTRAP TOPIC`` prints one JSON line (``Recounted``).
"""

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import psutil
from confluent_kafka import Consumer, TopicPartition

from midstage.chassis.garbage import collected_seldom
from midstage.contracts.spends import RoomTaken
from midstage.contracts.topics import SPENDS
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Message
from midstage.eventlog.murmur2 import partition_of
from midstage.eventlog.topics import settings_of
from midstage.testkit.clock import NOON
from midstage.throttle.stream import spent
from midstage.throttle.stream.spending import Spending
from tests.bench.children import module, told
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved, say
from tests.bench.topics import removed

GROUP: Final = "checks-back"
OURS, BARE = "midstage throttle", "bare consumer, counting"
BACK: Final = Measure(name="until it may count", unit="s", more_is_better=False)
CPU: Final = Measure(name="its work until then", unit="CPU s", more_is_better=False)
MEMORY: Final = Measure(name="memory of what stands", unit="MiB", more_is_better=False)
_COUNTERS: Final = 1_000_000
_QUICK: Final = 20
_WITHIN_S: Final = 300.0
_EVERY_S: Final = 0.005


class Recounted(msgspec.Struct, frozen=True, kw_only=True):
    """``added_mib`` is what the process grew by."""

    seconds: float
    cpu_s: float
    added_mib: float


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Write the claims once; each run reads them all."""
    del directory
    count = _COUNTERS // (_QUICK if size.rounds == 1 else 1)
    topic = replace(SPENDS, name=f"bench.spends.{uuid.uuid4().hex[:8]}")
    log = KafkaLog(bootstrap=bootstrap, client_id="bench")
    log.create(settings_of(topic))
    writer = log.writer()
    for each in _claims(topic.name, count):
        writer.send(each)
    if writer.flush(_WITHIN_S):
        raise TimeoutError("not all claims were delivered")
    writer.close()
    say(f"{GROUP}: {count:,} counters stand")
    taken = interleaved(
        [
            Contestant(name=name, run=partial(_run, who, bootstrap, topic.name))
            for name, who in ((OURS, "ours"), (BARE, "bare"))
        ],
        group=GROUP,
        rounds=min(3, size.rounds),
    )
    removed(bootstrap, topic.name)
    return figures(
        group=GROUP,
        measures=[BACK, CPU, MEMORY],
        taken=taken,
        peers=(BARE,),
        counts=dict.fromkeys((OURS, BARE), f"{count:,} counters"),
    )


def _claims(topic: str, count: int) -> Iterator[Message]:
    """One of each customer, of a token bucket of 60 a minute."""
    for number in range(count):
        customer = f"customer-{number:07}"
        level, since = 60_000_000_000 * (number % 60), 1_795_750_000_123_456_789 + number
        fact = RoomTaken(
            limit="requests-a-minute",
            customer=customer,
            units=2,
            algorithm="token-bucket of requests",
            standing=tuple(map(str, (level, since, 60, 60_000_000_000, 3_600_000_000_000))),
            owner=f"throttle/{0:032}",
            epoch=1,
            at=NOON,
        )
        place = partition_of(customer.encode(), SPENDS.partitions)
        yield spent.claim(fact, id_=f"{fact.owner}/{number}", topic=topic, partition=place)


def _run(who: str, bootstrap: str, topic: str) -> Mapping[str, float]:
    found = told(
        module("tests.bench.recounting", who, bootstrap, topic),
        Recounted,
        name=who,
        within_s=_WITHIN_S,
    )
    return {BACK.name: found.seconds, CPU.name: found.cpu_s, MEMORY.name: found.added_mib}


def main(arguments: list[str]) -> None:
    """Read once."""
    who, bootstrap, topic = arguments
    runs: dict[str, Callable[[str, str], None]] = {"ours": _counting, "bare": _consuming}
    collected_seldom()
    before = _resident()
    begin, worked = time.perf_counter(), time.process_time()
    runs[who](bootstrap, topic)
    told = Recounted(
        seconds=time.perf_counter() - begin,
        cpu_s=time.process_time() - worked,
        added_mib=(_resident() - before) / 1024**2,
    )
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")


def _counting(bootstrap: str, topic: str) -> None:
    spending = Spending(
        log=KafkaLog(bootstrap=bootstrap, client_id="bench"),
        topic=replace(SPENDS, name=topic),
        owner=f"throttle/{uuid.uuid4().hex}",
        address="",
        http_address="",
        now=lambda: datetime.now(UTC),
        now_ns=time.time_ns,
        monotonic=time.monotonic,
    )
    stop = threading.Event()
    following = threading.Thread(target=spending.run, args=(stop,))
    following.start()
    while spending.closed() is not None:
        time.sleep(_EVERY_S)
        spending.heard()
    stop.set()
    following.join()


def _consuming(bootstrap: str, topic: str) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench"})
    places = [TopicPartition(topic, number, 0) for number in range(SPENDS.partitions)]
    ends = sum(consumer.get_watermark_offsets(place)[1] for place in places)
    consumer.assign(places)
    bytes_read, read = 0, 0
    while read < ends:
        for message in consumer.consume(2000, 0.2):
            if message.error() is None:
                bytes_read += len(message.value() or b"")
                read += 1
    consumer.close()


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main(sys.argv[1:])
