"""Numbered requests as the edges write and sign them, read in one pass over whole columns.

Only what is plain is taken here. Whatever else a record may be, forged, broken, late by centuries
or merely unusual, is left to the careful way, which says what is wrong with it: so this way may be
narrow, and has to be right only where it takes something.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Annotated, Literal

import msgspec
import numpy as np

from midstage.contracts import signature
from midstage.contracts.edges import LARGEST_SEQ
from midstage.contracts.fact import Name
from midstage.contracts.requests import Outcome, RequestCompleted
from midstage.contracts.topics import EVENT_BYTES
from midstage.contracts.units import BLUR, EXACT_MICROS, LARGEST, MICROS_PER_UNIT
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED
from midstage.eventlog.log import Record
from midstage.stats.model import (
    NO_ROWS,
    REQUEST,
    Amounts,
    Doubles,
    Flags,
    Labels,
    Longs,
    Rows,
    Texts,
    Words,
)
from midstage.stats.stream.lines import LARGEST_BYTES, LARGEST_MS, billable
from midstage.stats.stream.signatures import SIGNATURE_BYTES, Signatures
from midstage.stats.stream.times import instants

_STRUCTURED_HEADER = (CONTENT_TYPE, STRUCTURED)
_SEQ_DIGITS = 20
GROUP = 4096
"""Lines that are objects at the same time: a line is some thirty of them, and what one group let go
of serves the next. In much smaller groups what a call of numpy costs is more than that saves."""
"""Up to here a float holds each whole number."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: Literal["dev.midstage.request.completed.v1"]
    time: str
    midstageseq: Annotated[str, msgspec.Meta(min_length=_SEQ_DIGITS, max_length=_SEQ_DIGITS)]
    data: RequestCompleted


_decode = msgspec.json.Decoder(_Line).decode


class Signed:
    """Takes what is plain out of a chunk."""

    def __init__(self, *, topic: str, billed: frozenset[Outcome]) -> None:
        """Take from ``topic`` alone; ``billed`` are the outcomes whose units count."""
        self._topic = topic
        self._billed = billed
        self._signatures = Signatures()

    def __call__(
        self, records: Sequence[Record], *, keys: Mapping[str, bytes], latest: datetime
    ) -> tuple[list[Rows], list[Record]]:
        """The rows of the plain ones, and the records that are left for the careful way."""
        parts: list[Rows] = []
        left: list[Record] = []
        for begin in range(0, len(records), GROUP):
            group = records[begin : begin + GROUP]
            rows, taken = self._read(group, keys, latest)
            parts.append(rows)
            if not bool(taken.all()):
                left += [group[at] for at in np.flatnonzero(~taken).tolist()]
        return parts, left

    def _read(
        self, records: Sequence[Record], keys: Mapping[str, bytes], latest: datetime
    ) -> tuple[Rows, Flags]:
        """The rows of a group, and which of its records they are."""
        taken = np.zeros(len(records), np.bool_)
        at, lines = self._genuine(records, keys)
        if not lines:
            return NO_ROWS, taken
        try:
            rows, sound = _rows(lines, latest=latest, billed=self._billed)
        except OverflowError:  # somewhere is a number of more than 64 bits
            return NO_ROWS, taken
        taken[at[sound]] = True
        return rows.taken(sound), taken

    def _genuine(
        self, records: Sequence[Record], keys: Mapping[str, bytes]
    ) -> tuple[Longs, list[_Line]]:
        """Which of the records are signed lines, and the lines."""
        at: list[int] = []
        lines: list[_Line] = []
        topic = self._topic
        for number, record in enumerate(records):
            headers, value = record.headers, record.value
            if (
                len(headers) < 2
                or headers[0] != _STRUCTURED_HEADER
                or headers[1][0] != signature.HEADER
                or len(headers[1][1]) != SIGNATURE_BYTES
                or record.partition.topic != topic
                or value is None
                or len(value) > EVENT_BYTES
            ):
                continue
            try:
                lines.append(_decode(value))
            except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError):
                continue
            at.append(number)
        same = self._signatures.genuine(
            [line.source for line in lines],
            [records[number].value or b"" for number in at],
            [records[number].headers[1][1] for number in at],
            keys=keys,
        )
        if not bool(same.all()):
            lines = [lines[number] for number in np.flatnonzero(same).tolist()]
        return np.array(at, np.int64)[same], lines


def _rows(
    lines: Sequence[_Line], *, latest: datetime, billed: frozenset[Outcome]
) -> tuple[Rows, Flags]:
    """The lines as rows, and which of them are sound."""
    count = len(lines)
    facts = [line.data for line in lines]
    time, timed = instants([line.time for line in lines])
    seq, numbered = _numbers([line.midstageseq for line in lines])
    customer = Words.of([fact.customer for fact in facts])
    outcome = Words.of([fact.outcome for fact in facts])
    outcome = Words(words=tuple(map(str, outcome.words)), codes=outcome.codes)
    usage, exact = _amounts([fact.usage for fact in facts])
    rows = Rows(
        kind=Words.same(REQUEST, count),
        source=Words.of([line.source for line in lines]),
        seq=seq,
        id=Texts.of([line.id for line in lines]),
        time=time,
        customer=customer,
        app=Words.of([fact.app for fact in facts]),
        endpoint=Words.of([fact.endpoint for fact in facts]),
        revision=Words.of([fact.revision for fact in facts]),
        status=np.array([fact.status for fact in facts], np.int32),
        outcome=outcome,
        duration_ms=_milliseconds([fact.duration_ms for fact in facts]),
        queue_ms=_milliseconds([fact.queue_ms for fact in facts]),
        ttft_ms=_milliseconds([fact.ttft_ms for fact in facts]),
        bytes_in=np.array([fact.bytes_in for fact in facts], np.int64),
        bytes_out=np.array([fact.bytes_out for fact in facts], np.int64),
        usage=usage,
        billed=billable(customer, outcome, billed),
        estimated=np.array([fact.estimated for fact in facts], np.bool_),
        labels=_labels([fact.labels for fact in facts]),
        ref=Texts.of([fact.ref for fact in facts]),
        cluster=Words.of([fact.cluster for fact in facts]),
        pod=Words.of([fact.pod for fact in facts]),
        trace_id=Texts.of([fact.trace_id for fact in facts]),
    )
    sound: Flags = numbered & exact & timed & _believed(rows)
    return rows, sound & (time <= (latest - _EPOCH) // _MICROSECOND)


def _milliseconds(values: Sequence[float | None]) -> Doubles:
    if values[0] is None and values.count(None) == len(values):
        return np.full(len(values), np.nan)
    return np.array(values, np.float64)


def _believed(rows: Rows) -> Flags:
    """Which rows no broken clock or counter wrote."""
    longest = np.fmax(rows.duration_ms, np.fmax(rows.queue_ms, rows.ttft_ms))
    flags: Flags = (longest <= LARGEST_MS) & (
        np.maximum(rows.bytes_in, rows.bytes_out) <= LARGEST_BYTES
    )
    return flags


def _numbers(texts: Sequence[str]) -> tuple[Longs, Flags]:
    """Each of 20 characters as a number, and whether it is one from 1 to ``LARGEST_SEQ``."""
    joined = "".join(texts)
    if not joined.isascii():
        return np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    digits = np.frombuffer(joined.encode(), np.uint8).reshape(-1, _SEQ_DIGITS) - ord("0")
    fit = (digits <= 9).all(axis=1) & (digits[:, 0] == 0)  # 19 digits are below 2**64
    numbers = digits[:, 1:].astype(np.uint64) @ _PLACES
    return numbers.astype(np.int64), fit & (numbers >= 1) & (numbers <= LARGEST_SEQ)


_PLACES = 10 ** np.arange(_SEQ_DIGITS - 2, -1, -1, dtype=np.uint64)


def _amounts(parts: Sequence[Mapping[str, float]]) -> tuple[Amounts, Flags]:
    """Units as micro-units as ``units.micros`` makes them, and whose are all exact."""
    owners, names = _named(parts)
    values = np.fromiter(
        chain.from_iterable([part.values() for part in parts]), np.float64, len(names)
    )
    within = (values >= 0) & (values <= LARGEST)
    values = np.where(within, values, 0.0)
    whole = np.floor(values)
    micros = whole.astype(np.int64) * MICROS_PER_UNIT
    parted = np.flatnonzero(values != whole)
    if len(parted):
        micros[parted], within[parted] = _parted(values[parted], whole[parted])
    sound = np.ones(len(parts), np.bool_)
    sound[owners[~within]] = False
    return Amounts(rows=owners, names=names, micros=micros), sound


def _parted(values: Doubles, whole: Doubles) -> tuple[Longs, Flags]:
    """Of units that are not whole: the micro-units, and which are exact."""
    rest = np.rint((values - whole) * MICROS_PER_UNIT).astype(np.int64)
    micros = whole.astype(np.int64) * MICROS_PER_UNIT + rest
    back = micros / MICROS_PER_UNIT
    near = np.abs(back - values) <= BLUR * np.maximum(np.abs(back), np.abs(values))
    return micros, near & (micros < EXACT_MICROS)


def _labels(parts: Sequence[Mapping[str, str]]) -> Labels:
    if not any(parts):
        return NO_ROWS.labels
    owners, names = _named(parts)
    values = list(chain.from_iterable([part.values() for part in parts]))
    return Labels(rows=owners, names=names, values=Words.of(values))


def _named(parts: Sequence[Mapping[str, object]]) -> tuple[Longs, Words]:
    """Whose each part is, and its name; nearly always all rows have the same names in one order."""
    names, count = list(map(tuple, parts)), len(parts)
    if names.count(names[0]) == count:
        width = len(names[0])
        owners = np.repeat(np.arange(count, dtype=np.int64), width)
        codes = np.tile(np.arange(width, dtype=np.int32), count)
        return owners, Words(words=names[0], codes=codes)
    lengths = np.fromiter(map(len, names), np.int64, count)
    owners = np.repeat(np.arange(count, dtype=np.int64), lengths)
    return owners, Words.of(list(chain.from_iterable(names)))
