"""Snapshots of a fold: what is known of each key, so that a start need not read the whole log.

Written to the compacted topic ``<topic>.snapshot``: a record per key, and once these stand a
manifest with the offset vector; nobody waits for either. Only whole ones of our schema and code are
taken; any other is ignored, which costs time and nothing else: snapshot + tail = full fold.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Generic, TypeVar

import msgspec

from midstage.contracts.errors import UnavailableError, UnreadableError
from midstage.contracts.topics import Topic
from midstage.eventlog.appended import Answer, Facts, PartitionTaken
from midstage.eventlog.fold import Outcome, Saved
from midstage.eventlog.log import (
    BEGINNING,
    Delivery,
    Log,
    Message,
    Partition,
    Undelivered,
    Writer,
)

S = TypeVar("S")
F = TypeVar("F")

_MANIFEST = b"\xff"  # no key: keys are UTF-8
_POLL_S = 0.2
_MOST = 5000
_JSON = (("content-type", b"application/json"),)


class _Remembered(msgspec.Struct, frozen=True, kw_only=True):
    command_id: str
    command_hash: str
    version: int
    facts: msgspec.Raw
    at: datetime


class _OfKey(msgspec.Struct, frozen=True, kw_only=True):
    fits: str
    key: str
    version: int
    state: msgspec.Raw
    partition: int
    offset: int
    outcomes: tuple[_Remembered, ...]
    taken: PartitionTaken | None = None


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    fits: str
    offsets: tuple[int, ...]
    keys: int
    taken: tuple[PartitionTaken, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """One whose keys are on their way: those that are ``left``, and why any was ``lost``."""

    manifest: _Manifest
    left: list[Message]
    lost: list[str] = field(default_factory=list)

    def heard(self, delivery: Delivery) -> None:
        """On the writer's thread; lists change in one step each."""
        if isinstance(delivery, Undelivered):
            self.lost.append(delivery.reason)
        self.left.pop()


# made before threads are: see the traps in docs/architecture.md
_read_key = msgspec.json.Decoder(_OfKey).decode
_read_manifest = msgspec.json.Decoder(_Manifest).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Generic[S, F]):
    """What was saved, and from where the log is to be read on; who held each partition."""

    starts: Mapping[Partition, int]
    keys: Sequence[Saved[S, F]]
    taken: Sequence[PartitionTaken | None] = ()


def code_of(*functions: Callable[..., object]) -> str:
    """A hash of the source of the modules that hold ``functions``: the code that made a state."""
    sources = sorted({inspect.getsource(_module(function)) for function in functions})
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


class Snapshots(Generic[S, F]):
    """Snapshots of one versioned log, for one type of state and one code."""

    def __init__(
        self, *, log: Log, topic: Topic, state: type[S], code: str, every: int = 10_000
    ) -> None:
        """``code``: see ``code_of``; a new one is written after ``every`` records."""
        self.every = every
        self._log = log
        self._topic = topic
        self._facts: Facts[F] = Facts(topic)
        self._state = msgspec.json.Decoder(state)
        schema = msgspec.json.encode(
            msgspec.json.schema_components([state, topic.union, PartitionTaken])
        )
        self._writer: Writer | None = None
        self._begun: _Begun | None = None
        self._fits = hashlib.sha256(schema + b"\0" + code.encode()).hexdigest()

    def begin(
        self,
        keys: Iterable[Saved[S, F]],
        positions: Mapping[Partition, int],
        *,
        held: Mapping[int, PartitionTaken],
    ) -> None:
        """Hand over all keys; RefusedError or UnavailableError say why that can't be done."""
        messages = [self._of_key(saved) for saved in keys]
        offsets = {place.number: at for place, at in positions.items()}
        manifest = _Manifest(
            fits=self._fits,
            offsets=tuple(offsets[number] for number in sorted(offsets)),
            keys=len(messages),
            taken=tuple(held.values()),
        )
        begun = _Begun(manifest=manifest, left=[*messages])
        for message in messages:
            self._opened().send(message, begun.heard)
        self._begun = begun

    def finish(self) -> bool:
        """Whether none is being written: the manifest is handed over once all keys stand.

        UnavailableError where one of them does not; there will be no manifest then.
        """
        begun = self._begun
        if begun is None:
            return True
        if begun.lost:
            self._begun = None
            raise UnavailableError(f"a record of a snapshot was not written: {begun.lost[0]}")
        if begun.left:
            return False
        self._begun = None
        self._opened().send(self._message(_MANIFEST, begun.manifest))
        return True

    def newest(
        self, *, oldest: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Snapshot[S, F] | None:
        """The newest whole one that fits our schema, our code and the log as it stands."""
        records = self._read()
        last = records.pop(_MANIFEST, None)
        try:
            manifest = _read_manifest(last or b"")
            saved = [_read_key(value) for value in records.values()]
            fits = {manifest.fits, *(each.fits for each in saved)} == {self._fits}
            if not fits or len(saved) < manifest.keys or len(manifest.offsets) != len(ends):
                return None
            starts = _starts(manifest, saved, ends)
            if not all(oldest[place] <= at <= ends[place] for place, at in starts.items()):
                return None
            taken = {each.partition: each for each in manifest.taken}
            return Snapshot(
                starts=starts,
                keys=[self._saved(each) for each in saved],
                taken=[taken.get(number) for number in range(len(ends))],
            )
        except (msgspec.DecodeError, UnreadableError):
            return None

    def close(self) -> None:
        """Let go of the connection, if there was one."""
        if self._writer is not None:
            self._writer.close()

    def _opened(self) -> Writer:
        if self._writer is None:
            self._writer = self._log.writer()
        return self._writer

    def _message(self, key: bytes, value: _OfKey | _Manifest) -> Message:
        return Message(
            topic=self._topic.snapshots, key=key, value=msgspec.json.encode(value), headers=_JSON
        )

    def _of_key(self, saved: Saved[S, F]) -> Message:
        return self._message(
            saved.key.encode(),
            _OfKey(
                fits=self._fits,
                key=saved.key,
                version=saved.version,
                state=msgspec.Raw(msgspec.json.encode(saved.state)),
                partition=saved.partition,
                offset=saved.offset,
                outcomes=tuple(_remembered(outcome) for outcome in saved.outcomes),
                taken=saved.taken,
            ),
        )

    def _saved(self, of: _OfKey) -> Saved[S, F]:
        return Saved(
            key=of.key,
            version=of.version,
            state=self._state.decode(of.state),
            partition=of.partition,
            offset=of.offset,
            outcomes=tuple(self._outcome(of.key, each) for each in of.outcomes),
            taken=of.taken,
        )

    def _outcome(self, key: str, each: _Remembered) -> Outcome[F]:
        answer = Answer(
            key=key,
            version=each.version,
            command_id=each.command_id,
            facts=self._facts(each.facts),
            repeated=True,
        )
        return Outcome(command_hash=each.command_hash, answer=answer, at=each.at)

    def _read(self) -> dict[bytes, bytes]:
        """The newest value by key."""
        places = self._log.partitions(self._topic.snapshots)
        ends = self._log.ends(places)
        reader = self._log.reader(dict.fromkeys(places, BEGINNING))
        newest: dict[bytes, bytes] = {}
        try:
            while any(reader.positions()[place] < end for place, end in ends.items()):
                for record in reader.poll(most=_MOST, timeout_s=_POLL_S):
                    newest[record.key or b""] = record.value or b""
        finally:
            reader.close()
        return newest


def _remembered(outcome: Outcome[F]) -> _Remembered:
    answer = outcome.answer
    return _Remembered(
        command_id=answer.command_id,
        command_hash=outcome.command_hash,
        version=answer.version,
        facts=msgspec.Raw(msgspec.json.encode(answer.facts)),
        at=outcome.at,
    )


def _starts(
    manifest: _Manifest, saved: Sequence[_OfKey], ends: Mapping[Partition, int]
) -> dict[Partition, int]:
    """From where on each partition is to be read: what any key of it has not seen yet.

    Two replicas may write at once, so that one's manifest stands with the other's older keys.
    """
    starts = {place: manifest.offsets[place.number] for place in ends}
    by_number = {place.number: place for place in ends}
    for each in saved:
        place = by_number.get(each.partition)
        if place is not None:
            starts[place] = min(starts[place], each.offset)
    return starts


def _module(function: Callable[..., object]) -> ModuleType:
    module = inspect.getmodule(function)
    if module is None:
        raise ValueError(f"{function!r} is in no module whose source can be hashed")
    return module
