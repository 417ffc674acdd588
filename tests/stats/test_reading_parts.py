"""A chunk that was read in parts is the chunk that was read at once."""

from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.topics import EDGES, REQUESTS
from midstage.eventlog.log import Message, Partition, Record
from midstage.stats.main import Topics
from midstage.stats.model import Arrivals
from midstage.stats.stream.reading import Reading

from .conftest import KEY, NOON, Edge

EDGE, OTHER = Edge(topics=Topics()), Edge(topics=Topics(), file="b")
LINES = st.builds(
    lambda edge, seq, customer, labels: edge.line(seq, customer=customer, labels=labels),
    st.sampled_from([EDGE, OTHER]),
    st.integers(1, 9),
    st.sampled_from(["acme", "globex", "unknown"]),
    st.dictionaries(st.sampled_from("xy"), st.text(max_size=2), max_size=2),
)
BEATS = st.builds(lambda edge, highest: edge.beat(highest), st.just(EDGE), st.integers(0, 9))
FORGED = st.just(Edge(topics=Topics(), key=b"x" * 32).line(1))


def read(messages: Sequence[Message], put: list[str]) -> Arrivals:
    reading = Reading(
        requests=REQUESTS, edges=EDGES, keys=lambda: {"edge-1": KEY}, now=lambda: NOON
    )
    records = [
        Record(
            partition=Partition(topic=each.topic, number=0),
            offset=at,
            key=each.key,
            value=each.value,
            headers=each.headers,
        )
        for at, each in enumerate(messages)
    ]
    return reading(records, lambda _, reason: put.append(reason))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(LINES, BEATS, FORGED), max_size=12), st.sets(st.integers(0, 12)))
def test_parts_say_together_what_the_whole_says(messages: list[Message], cuts: set[int]) -> None:
    put_whole, put_parts = list[str](), list[str]()
    whole = read(messages, put_whole)
    ends = sorted({0, *(cut for cut in cuts if cut < len(messages)), len(messages)})
    parts = Arrivals.joined([read(messages[a:b], put_parts) for a, b in pairwise(ends)])
    assert parts.said == whole.said
    assert put_parts == put_whole
    assert told(parts) == told(whole)


def told(arrivals: Arrivals) -> list[object]:
    """Each row with all that it says."""
    rows = arrivals.rows
    names = [each.name for each in fields(rows) if each.name not in ("usage", "labels")]
    plain = [list(map(str, getattr(rows, name))) for name in names]
    parts = [(rows.usage.of(at), rows.labels.of(at)) for at in range(len(rows))]
    return [*zip(*plain, parts, strict=True)]
