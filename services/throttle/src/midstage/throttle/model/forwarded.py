"""A question that another process is to answer, and its answer."""

from dataclasses import dataclass
from typing import Final

FORWARDED: Final = "x-midstage-forwarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question as it came; ``target`` is its path and query."""

    method: str
    target: str
    authorization: str | None
    is_forwarded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer as it came."""

    status: int
    content: bytes
    media_type: str
