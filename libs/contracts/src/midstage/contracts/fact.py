"""What every fact is: a frozen value with a past-tense name, told apart on the wire by its type.

An ``Event`` is a fact with the CloudEvents 1.0 attributes that midstage uses. Facts only grow:
a new field has a default, a break is a new type with an upcast.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Generic, TypeVar

import msgspec

LONGEST_NAME: Final = 256
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
"""A name on the wire: never empty, at most 256 characters."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The base of all facts: immutable, keyword-only, unknown fields ignored.

    A value can't hold itself, so the garbage collector need not walk over facts.
    """


F_co = TypeVar("F_co", covariant=True, bound=Fact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Generic[F_co]):
    """One CloudEvent: ``data`` with the attributes that say whose it is and when it happened.

    ``time`` is UTC and aware. ``seq`` is ``midstageseq`` as a number from 1 on, or None where the
    source does not number its events; then ``(source, id)`` tells events apart.
    """

    id: str
    source: str
    type: str
    time: datetime
    data: F_co
    subject: str | None = None
    seq: int | None = None
