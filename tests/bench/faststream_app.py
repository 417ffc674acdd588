"""A current stream library as a contestant: FastStream on confluent-kafka, in a process of its own.

``python -m tests.bench.faststream_app BOOTSTRAP TOPIC COUNT`` prints one line, events a second. It
takes batches, as its documentation advises for speed; the values are decoded by the same few lines
as for the bare client, and summed in a dictionary: what is left is FastStream.
"""

import asyncio
import sys
import time
import uuid
from collections import defaultdict

import msgspec
from faststream.confluent import KafkaBroker, KafkaMessage

from tests.bench.bare import Request

_MOST = 10_000
_WITHIN_S = 110.0


async def _raw(message: KafkaMessage) -> object:
    """Leave the bytes as they are."""
    return message.body


async def _run(bootstrap: str, topic: str, count: int) -> float:
    broker = KafkaBroker(bootstrap, logger=None)
    decoder = msgspec.json.Decoder(Request)
    sums: dict[str, int] = defaultdict(int)
    ended = asyncio.Event()
    begin, seen, end = 0.0, 0, 0.0

    @broker.subscriber(
        topic,
        group_id=f"bench-{uuid.uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        batch=True,
        max_records=_MOST,
        decoder=_raw,
    )
    async def fold(values: list[bytes]) -> None:
        nonlocal begin, seen, end
        begin = begin or time.perf_counter()
        for value in values:
            data = decoder.decode(value).data
            sums[data.customer] += sum(data.usage.values()) * 1_000_000
        seen += len(values)
        if seen >= count:
            end = time.perf_counter()
            ended.set()

    async with broker:
        await broker.start()
        await asyncio.wait_for(ended.wait(), _WITHIN_S)
    return count / (end - begin)


if __name__ == "__main__":
    rate = asyncio.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    sys.stdout.write(f"rate {rate}\n")
