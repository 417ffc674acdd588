"""Adds up a topic of requests in its own simple way, with nothing of midstage: plain dictionaries.

What it finds must agree with a ledger cell by cell. It reads structured CloudEvents from the first
record to the last; a number counts with its edge's signature alone.
"""

import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from confluent_kafka import Consumer, TopicPartition

Cell = tuple[str, str, str, str, str, str, str]
"""Minute, customer, application, endpoint, revision, kind, name."""


@dataclass
class Count:
    """What was found: who counted, cells without zeros, and what came again or was forged."""

    counted: set[tuple[str, str]] = field(default_factory=set)
    cells: Counter[Cell] = field(default_factory=Counter)
    repeated: int = 0
    forged: int = 0


def recount(kafka: str, topic: str, keys: Mapping[str, str]) -> Count:
    """The whole topic; ``keys`` are the edges' keys in hex, by edge."""
    count = Count()
    for headers, value, _, _ in records(kafka, topic):
        add(count, headers, value, keys)
    return count


def add(count: Count, headers: Mapping[str, bytes], value: bytes, keys: Mapping[str, str]) -> None:
    """Count one record."""
    event = json.loads(value, parse_float=Decimal)
    source, number = event["source"], event.get("midstageseq")
    if number is not None and not signed(headers, source, value, keys):
        count.forged += 1
        return
    name = (source, str(int(number)) if number is not None else event["id"])
    if name in count.counted:
        count.repeated += 1
        return
    count.counted.add(name)
    for kind, what, amount in amounts(event["data"]):
        cell = (minute(event["time"]), *place(event["data"]), kind, what)
        count.cells[cell] += amount


def signed(
    headers: Mapping[str, bytes], source: str, value: bytes, keys: Mapping[str, str]
) -> bool:
    key = bytes.fromhex(keys.get(source.split("/")[1], ""))
    right = hmac.new(key, source.encode() + b"\0" + value, hashlib.sha256).hexdigest()
    return headers.get("ms-sig", b"") == right.encode()


def amounts(data: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    yield "outcome", data["outcome"], 1
    if data["outcome"] in {"ok", "cancelled"} and data["customer"] != "unknown":
        for unit, amount in data.get("usage", {}).items():
            yield "unit", unit, int(amount * 1_000_000)
    yield "bytes", "in", data.get("bytes_in", 0)
    yield "bytes", "out", data.get("bytes_out", 0)


def place(data: dict[str, Any]) -> tuple[str, str, str, str]:
    return data["customer"], data["app"], data.get("endpoint", ""), data.get("revision", "")


def minute(time: str) -> str:
    exact = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", time)).astimezone(UTC)
    return exact.strftime("%Y-%m-%dT%H:%M")


def records(kafka: str, topic: str) -> Iterator[tuple[Mapping[str, bytes], bytes, int, int]]:
    """Headers, value, partition and offset of each record."""
    reader = Consumer({"bootstrap.servers": kafka, "group.id": "independent"})
    for number in reader.list_topics(topic, timeout=60).topics[topic].partitions:
        first, end = reader.get_watermark_offsets(TopicPartition(topic, number), timeout=60)
        reader.assign([TopicPartition(topic, number, first)])
        while first < end:
            for record in reader.consume(10_000, timeout=1.0):
                offset, value = record.offset(), record.value()
                if record.error() is None and offset is not None and value is not None:
                    headers: Any = record.headers() or ()
                    yield dict(headers), value, number, offset
                    first = offset + 1
    reader.close()
