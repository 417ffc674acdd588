"""The peer with comfort: a Faust worker in a process of its own, measured from inside.

``python -m tests.bench.faust_app MODE BOOTSTRAP TOPIC COUNT DIRECTORY`` prints one line, events a
second, and goes on until its parent ends it; the directory's name is the application's id. The
table is in memory (its changelog in Kafka), the values are raw bytes, decoded by the same few
lines as for the bare client: what is left is Faust.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import faust
import msgspec
from faust.types import AppT, StreamT, TopicT

from tests.bench.bare import Request
from tests.bench.topics import PARTITIONS, messages

_DISTINCT = 5_000
_IN_FLIGHT = 5_000


def main(arguments: list[str]) -> None:
    """Run a worker that measures one thing and says so on stdout."""
    mode, bootstrap, name, count, directory = arguments
    app = faust.App(
        Path(directory).name,
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=directory,
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        table_standby_replicas=0,
        producer_linger=0.005,
        web_enabled=False,
    )
    topic = app.topic(name, key_type=bytes, value_type=bytes, value_serializer="raw")
    if mode == "consume":
        app.agent(topic, concurrency=1)(_fold(app, int(count)))
    else:
        app.task(_produce(topic, name, int(count)))
    faust.Worker(app, loglevel="error", redirect_stdouts=False).execute_from_commandline()


def _fold(app: AppT, count: int) -> Callable[[StreamT[bytes]], Awaitable[None]]:
    usage = app.Table("usage", default=int, partitions=PARTITIONS)
    decoder = msgspec.json.Decoder(Request)

    async def fold(stream: StreamT[bytes]) -> None:
        begin, seen = 0.0, 0
        async for value in stream:
            if not seen:
                begin = time.perf_counter()
            data = decoder.decode(value).data
            usage[data.customer] += sum(data.usage.values()) * 1_000_000
            seen += 1
            if seen == count:
                _tell(count / (time.perf_counter() - begin))

    return fold


def _produce(topic: TopicT, name: str, count: int) -> Callable[[], Awaitable[None]]:
    ready = list(messages(name, min(count, _DISTINCT)))

    async def produce() -> None:
        waiting: list[Awaitable[object]] = []
        await (await topic.send(key=ready[0].key, value=ready[0].value))  # connects
        begin = time.perf_counter()
        for number in range(count):
            each = ready[number % len(ready)]
            headers = list(each.headers)
            waiting.append(await topic.send(key=each.key, value=each.value, headers=headers))
            if len(waiting) == _IN_FLIGHT:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)
        _tell(count / (time.perf_counter() - begin))

    return produce


def _tell(rate: float) -> None:
    sys.stdout.write(f"rate {rate}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
