"""Batches count as the same events do one by one, and as a whole or not at all."""

import dataclasses
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from msgspec import structs

from midstage.contracts.fact import Event
from midstage.contracts.metered import METERED, Metered
from midstage.contracts.requests import Outcome, RequestCompleted
from midstage.contracts.topics import EDGES, REQUESTS
from midstage.eventlog import arrow
from midstage.eventlog.codec import message
from midstage.eventlog.log import Message, Partition, Record
from midstage.stats.model import Amounts, Labels, Rows, Texts, Words
from midstage.stats.stream.reading import Reading

from .conftest import KEY, NOON, Bench, request

SOURCE = "edges/edge-1/a"


def numbered(*numbers: int, **said: object) -> list[Event[RequestCompleted]]:
    return [request(SOURCE, number, **said) for number in numbers]  # type: ignore[arg-type]  # a test's own words


def batch(
    events: Sequence[Event[RequestCompleted]] | Sequence[Event[Metered]],
    *,
    topic: str = REQUESTS.name,
    key: bytes | None = KEY,
) -> Message:
    return arrow.batch(events, topic=topic, signing_key=key)


def read(*messages: Message) -> tuple[Rows, list[str]]:
    reading = Reading(
        requests=REQUESTS, edges=EDGES, keys=lambda: {"edge-1": KEY}, now=lambda: NOON
    )
    refused: list[str] = []
    records = [
        Record(
            partition=Partition(topic=one.topic, number=0),
            offset=offset,
            key=one.key,
            value=one.value,
            headers=one.headers,
        )
        for offset, one in enumerate(messages)
    ]
    rows = reading(records, lambda _, reason: refused.append(reason)).rows
    return rows, refused


def told(rows: Rows) -> dict[str, list[object]]:
    """The rows as plain values, whatever codes stand for their words."""
    return {field.name: plain(getattr(rows, field.name)) for field in dataclasses.fields(rows)}


def plain(column: object) -> list[object]:
    match column:
        case Words() | Texts():
            return list(column)
        case Amounts():
            return list(
                zip(column.rows.tolist(), column.names, column.micros.tolist(), strict=True)
            )
        case Labels():
            return list(zip(column.rows.tolist(), column.names, column.values, strict=True))
        case np.ndarray():
            return [None if str(value) == "nan" else value for value in column.tolist()]
        case _:
            raise TypeError(type(column))


MIXED = [
    *numbered(1, 2, usage={"requests": 1, "audio_seconds": 2.5}, labels={"tier": "gold"}),
    *numbered(3, customer="unknown", ttft_ms=3.5, estimated=True),
    *numbered(4, outcome=Outcome.ERROR, usage={}, bytes_in=7, endpoint="/v1", pod="chat-0"),
]


def test_a_batch_reads_as_its_events_do_one_by_one() -> None:
    one_by_one, none = read(
        *(message(event, topic=REQUESTS.name, key=SOURCE, signing_key=KEY) for event in MIXED)
    )
    together, refused = read(batch(MIXED))
    assert none == refused == []
    assert told(together) == told(one_by_one)


def test_metered_work_in_a_batch_reads_as_one_by_one() -> None:
    made = [
        Event(
            id=str(n),
            source="sales",
            type=METERED,
            time=NOON,
            data=Metered(customer="acme", units={"seats": n}, app="x", labels={"a": "b"}),
        )
        for n in range(1, 4)
    ]
    one_by_one, _ = read(*(message(event, topic=REQUESTS.name, key="sales") for event in made))
    assert told(read(batch(made, key=None))[0]) == told(one_by_one)


def test_events_and_batches_keep_the_order_of_the_log() -> None:
    """The first of two that share an id counts, however they came."""
    first, second, third = (request("jobs", None, event_id=str(n)) for n in (1, 2, 3))
    single = message(second, topic=REQUESTS.name, key="jobs")
    rows, _ = read(batch([first], key=None), single, batch([third], key=None))
    assert list(rows.id) == ["1", "2", "3"]
    assert rows.usage.rows.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (batch(MIXED, key=None), "signature"),
        (batch(MIXED, key=bytes(32)), "signature"),
        (batch([request("edges/edge-1/a", None)], key=None), "signature"),
        (batch([request("jobs", 1)]), "jobs"),
        (
            batch([*numbered(1), *numbered(2, time=NOON + timedelta(hours=25))]),
            "event 1: time is more than 24 h ahead",
        ),
        (batch(MIXED, topic=EDGES.name), "belong elsewhere"),
    ],
)
def test_a_batch_that_can_not_be_believed_is_refused_as_a_whole(one: Message, why: str) -> None:
    rows, refused = read(one)
    assert len(rows) == 0
    assert len(refused) == 1
    assert why in refused[0]


def test_a_signature_does_not_hold_for_another_source() -> None:
    mine = batch(MIXED)
    source = ("ce_source", b"edges/edge-1/b")
    moved = structs.replace(
        mine, headers=tuple(source if h[0] == source[0] else h for h in mine.headers)
    )
    assert "signature" in read(moved)[1][0]


def test_batches_count_into_the_ledger_once_whatever_comes_again(bench: Bench) -> None:
    topic = bench.topics.requests.name
    again = [request("jobs", None, event_id=str(n)) for n in (1, 2, 2, 3)]
    broken = batch(numbered(9, usage={"requests": 1}), topic=topic)
    bench.write(
        batch(numbered(1, 2, 3), topic=topic),
        batch(numbered(2, 3, 4), topic=topic),
        batch(again, topic=topic, key=None),
        batch(again, topic=topic, key=None),
        structs.replace(broken, value=(broken.value or b"")[:-40]),
    )
    service = bench.caught_up()
    assert service.ledger.queries().recorded(since=NOON).rows == 4 + 3
    assert len(bench.dead(bench.topics.requests)) == 1
