"""The records of ``midstage.spends.v1``: written whole, read as far as they decide.

A counter that equals a new one is cleared by compaction's mark: no value under its key, so that the
topic does not grow with customers who are gone. As any process may be one that was replaced, the
mark says in a header who wrote it under which epoch, and counts by the same rule as a claim.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final, Literal

import msgspec

from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event
from midstage.contracts.spends import (
    CUSTOMERS_LEFT,
    CUSTOMERS_TAKEN,
    CUSTOMERS_WANTED,
    RESERVATIONS_LEFT,
    ROOM_TAKEN,
    CustomersLeft,
    CustomersTaken,
    CustomersWanted,
    ReservationsLeft,
    RoomTaken,
)
from midstage.contracts.topics import EVENT_BYTES
from midstage.eventlog.codec import Decoder, header, message
from midstage.eventlog.log import Message, Partition, Record
from midstage.eventlog.murmur2 import partition_of
from midstage.throttle.decide.spends import Claimed, Cleared, Said
from midstage.throttle.model.limits import Key

HOLDER: Final = "ms-holder"
"""Of a record without a value: owner and epoch, a JSON array."""


Reserving = Callable[[CustomersLeft], Iterable[ReservationsLeft]]
"""What a successor has to know of the requests of those who are left so."""
_IS_STANDING: Final = re.compile(rb'\[(?:"-?\d{1,64}+"(?:,"-?\d{1,64}+")*+)?\]').fullmatch


class _OfClaim(msgspec.Struct, frozen=True, gc=False):
    specversion: Literal["1.0"]
    type: Literal["dev.midstage.room.taken.v1"]
    data: Claimed


_claim: Final = msgspec.json.Decoder(_OfClaim)


class Reading:
    """What a record says to the fold; nothing where it is of no kind that is known here."""

    def __init__(self, whole: Decoder) -> None:
        """``whole`` reads the few records that are no claims."""
        self._whole = whole
        self._key = msgspec.json.Decoder(Key)
        self._holder = msgspec.json.Decoder(tuple[str, int])

    def __call__(self, record: Record) -> Sequence[Said]:
        """UnreadableError for what is neither an event nor a mark, and for what is no claim."""
        if record.value is None:
            return (self._cleared(record),)
        fact = self._whole(record).data
        if isinstance(fact, RoomTaken):  # else ``claimed`` had read it
            raise UnreadableError("a claim stands as whole numbers, in structured mode")
        told = CustomersTaken | CustomersLeft | CustomersWanted | ReservationsLeft
        return (fact,) if isinstance(fact, told) else ()

    def _cleared(self, record: Record) -> Cleared:
        """Whose mark names nobody is no holder's."""
        named = header(record, HOLDER)
        try:
            key = self._key.decode(record.key or b"")
            owner, epoch = ("", 0) if named is None else self._holder.decode(named)
        except (msgspec.DecodeError, UnicodeError) as e:
            raise UnreadableError(f"not compaction's mark of a counter: {str(e)[:300]}") from e
        return Cleared(key=key, owner=owner, epoch=epoch)


class Claims:
    """A Batch: nearly all records are claims."""

    __slots__ = ("_apply", "_claims", "_partition")

    def __init__(
        self, apply: Callable[[Sequence[Claimed], int], None], partition: Partition
    ) -> None:
        """``apply`` folds what was added, of the partition's number."""
        self._apply = apply
        self._partition = partition.number
        self._claims: list[Claimed] = []

    def add(self, value: bytes) -> bool:
        """Whether it is a claim."""
        fact = claimed(value)
        if fact is None:
            return False
        self._claims.append(fact)
        return True

    def apply(self) -> None:
        """In order."""
        if self._claims:
            self._apply(self._claims, self._partition)


def claimed(value: bytes) -> Claimed | None:
    """What a record with this value claims; None where it is none: ``Reading`` says what it is."""
    if len(value) > EVENT_BYTES:
        return None
    try:
        fact = _claim.decode(value).data
    except (msgspec.DecodeError, UnicodeError, OverflowError, RecursionError):
        return None
    return fact if _IS_STANDING(fact.standing) else None


def claim(fact: RoomTaken, *, id_: str, topic: str, partition: int) -> Message:
    """The record of what stands from now on."""
    event = Event(id=id_, source=fact.owner, type=ROOM_TAKEN, time=fact.at, data=fact)
    key = key_of((fact.limit, fact.customer, fact.key))
    return _placed(message(event, topic=topic, key=key), partition)


def taking(fact: CustomersTaken, *, id_: str, topic: str) -> Message:
    """The record of who counts from now on."""
    event = Event(id=id_, source=fact.owner, type=CUSTOMERS_TAKEN, time=fact.at, data=fact)
    return _placed(message(event, topic=topic, key="taken"), fact.partition)


def leaving(fact: CustomersLeft, *, id_: str, topic: str) -> Message:
    """The record of who counts no more."""
    event = Event(id=id_, source=fact.owner, type=CUSTOMERS_LEFT, time=fact.at, data=fact)
    return _placed(message(event, topic=topic, key="left"), fact.partition)


def reserved(fact: ReservationsLeft, *, id_: str, topic: str) -> Message:
    """The record of what is reserved as customers are left; the next one's takes its place."""
    event = Event(id=id_, source=fact.owner, type=RESERVATIONS_LEFT, time=fact.at, data=fact)
    return _placed(message(event, topic=topic, key=f"reserved/{fact.part}"), fact.partition)


def wanting(fact: CustomersWanted, *, id_: str, topic: str) -> Message:
    """The record of who would count."""
    event = Event(id=id_, source=fact.owner, type=CUSTOMERS_WANTED, time=fact.at, data=fact)
    return _placed(message(event, topic=topic, key="wanted"), fact.partition)


def mark(cleared: Cleared, *, topic: str, partition: int) -> Message:
    """Nothing stands under the key any more."""
    holder: Sequence[str | int] = (cleared.owner, cleared.epoch)
    return Message(
        topic=topic,
        key=key_of(cleared.key).encode(),
        value=None,
        headers=((HOLDER, msgspec.json.encode(holder)),),
        partition=partition,
    )


def key_of(key: Key) -> str:
    """A counter's key in the topic."""
    return msgspec.json.encode(key).decode()


@lru_cache(maxsize=16_384)
def placed_in(customer: str, partitions: int) -> int:
    """Where a customer's records stand: every check asks, and the hash is dear."""
    return partition_of(customer.encode(), partitions)


def _placed(written: Message, partition: int) -> Message:
    return msgspec.structs.replace(written, partition=partition)
