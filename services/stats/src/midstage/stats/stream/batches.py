"""Batches of the log as rows: the columns of an Arrow stream are the columns of a chunk.

A batch is one record, so it counts as a whole or is a dead letter as a whole. What a source's
name demands of one event it demands of a batch: the signature then covers source and bytes.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from midstage.contracts.edges import SOURCE_PREFIX
from midstage.contracts.errors import UnreadableError
from midstage.contracts.metered import METERED as METERED_TYPE
from midstage.contracts.requests import Outcome
from midstage.eventlog import arrow
from midstage.eventlog.log import Record
from midstage.stats.model import (
    METERED,
    REQUEST,
    Amounts,
    Doubles,
    Ints,
    Labels,
    Longs,
    Rows,
    Texts,
    Words,
)
from midstage.stats.stream.lines import billable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def rows_in(
    record: Record,
    *,
    genuine: Callable[[str], None],
    latest: datetime,
    billed: frozenset[Outcome],
) -> Rows:
    """The rows of one batch; UnreadableError names the index of what can't be counted.

    ``genuine`` is asked for the source where its edge must have signed; no event is later than
    ``latest``.
    """
    columns = arrow.decode(record)
    seq = _longs(columns.seq)
    if columns.source.startswith(SOURCE_PREFIX) or seq.any():
        genuine(columns.source)
    time = _longs(columns.time)
    ahead = np.flatnonzero(time > (latest - _EPOCH) // _MICROSECOND)
    if len(ahead):
        raise UnreadableError(f"event {ahead[0]}: time is more than 24 h ahead")
    customer, outcome = _words(columns.customer), _words(columns.outcome)
    kind = METERED if columns.type == METERED_TYPE else REQUEST
    return Rows(
        kind=Words.same(kind, columns.count),
        source=Words.same(columns.source, columns.count),
        seq=seq,
        id=_texts(columns.ids),
        time=time,
        customer=customer,
        app=_words(columns.app),
        endpoint=_words(columns.endpoint),
        revision=_words(columns.revision),
        status=_ints(columns.status),
        outcome=outcome,
        duration_ms=_doubles(columns.duration_ms),
        queue_ms=_doubles(columns.queue_ms),
        ttft_ms=_doubles(columns.ttft_ms),
        bytes_in=_longs(columns.bytes_in),
        bytes_out=_longs(columns.bytes_out),
        usage=Amounts(
            rows=_owners(columns.usage.offsets),
            names=_words(columns.usage.names),
            micros=_longs(columns.usage.micros),
        ),
        billed=billable(customer, outcome, billed),
        estimated=np.frombuffer(columns.estimated, np.bool_),
        labels=Labels(
            rows=_owners(columns.labels.offsets),
            names=_words(columns.labels.names),
            values=_words(columns.labels.values),
        ),
        ref=_texts(columns.refs),
        cluster=_words(columns.cluster),
        pod=_words(columns.pod),
        trace_id=_texts(columns.trace_ids),
    )


def _words(coded: arrow.Coded) -> Words:
    return Words(words=coded.words, codes=_ints(coded.codes))


def _texts(plain: arrow.Plain) -> Texts:
    return Texts(content=np.frombuffer(plain.content, np.uint8), offsets=_ints(plain.offsets))


def _owners(offsets: memoryview) -> Longs:
    lengths = np.diff(_ints(offsets))
    return np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)


def _longs(items: memoryview) -> Longs:
    return np.frombuffer(items, np.int64)


def _ints(items: memoryview) -> Ints:
    return np.frombuffer(items, np.int32)


def _doubles(items: "memoryview[float]") -> Doubles:
    return np.frombuffer(items.cast("B"), np.float64)
