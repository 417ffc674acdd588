"""What holders of leases and their owner tell each other, in JSON over HTTP.

A holder asks for all applications of a customer at once, so one serial number says which answer it
goes by. Rates are units a second; ``rate_micros`` is millionths of that.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Unit = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
_Wants = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_Units = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
_Serial = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
MOST_ASKS = 200


_Passed = Annotated[
    dict[_Word, Annotated[dict[_Unit, _Units], msgspec.Meta(max_length=64)]],
    msgspec.Meta(max_length=256),
]
_PassedMs = Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer's requests will use a second, by application and unit.

    ``holding``: the serial number of the answer that the holder goes by; 0: by none. ``passed``:
    what passed by leases since the last question, in the last ``passed_ms``, for limits in shadow
    mode; of a question that is lost it is lost too.
    """

    customer: _Word
    apps: Annotated[
        dict[_Word, Annotated[dict[_Unit, _Wants], msgspec.Meta(max_length=64)]],
        msgspec.Meta(max_length=256),
    ]
    holding: _Serial = 0
    passed: _Passed = {}
    passed_ms: _PassedMs = 0


class Back(msgspec.Struct, frozen=True, kw_only=True):
    """The holder goes by no answer up to ``holding`` any more; ``left`` of limits is not used.

    ``passed``: as with a question.
    """

    customer: _Word
    holding: _Serial
    left: Annotated[dict[_Word, _Units], msgspec.Meta(max_length=1024)] = {}
    passed: _Passed = {}
    passed_ms: _PassedMs = 0


class LeasesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Questions and returns of one holder; its name is one process's, never used again."""

    holder: _Word
    asks: Annotated[tuple[Ask, ...], msgspec.Meta(max_length=MOST_ASKS)] = ()
    backs: Annotated[tuple[Back, ...], msgspec.Meta(max_length=MOST_ASKS)] = ()


class LeaseTerms(TypedDict):
    """A part of a limit; ``add`` units are there at once. ``window_s`` 0: there is none.

    ``is_open``: where the term is over and no other has come, the limit lets pass.
    """

    limit: str
    unit: str
    rate_micros: int
    burst: int
    add: int
    is_open: bool
    quota: int
    window_s: int


class AskedPerCheck(TypedDict):
    """An application whose requests are asked for one by one, and why."""

    why: str
    is_open: bool


class LeaseAnswer(TypedDict):
    """What a customer's holder has from now on, instead of what it had.

    ``apps``: the limits that requests to each application meet, all of them in ``leases``.
    """

    customer: str
    serial: int
    term_ms: int
    leases: list[LeaseTerms]
    apps: dict[str, list[str]]
    per_check: dict[str, AskedPerCheck]


class LeasesAnswer(TypedDict):
    """An answer to each question, in their order."""

    answers: list[LeaseAnswer]


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request that the owner itself is asked about; ``request``: what its end will be told by."""

    customer: str
    app: str
    key: str = ""
    labels: Mapping[str, str] = {}
    units: Mapping[str, int] = {}
    request: str = ""


class Ending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request that is over, and what it used; of a unit that is not named, its estimate."""

    request: str
    customer: str
    app: str
    key: str = ""
    labels: Mapping[str, str] = {}
    units: Mapping[str, int] = {}


class CheckedLimit(TypedDict):
    """A limit that the request met."""

    unit: str
    on_failure: str | dict[str, int | float]
    shadow: bool


class Checked(TypedDict):
    """What a check that was charged is told; the owner tells more."""

    admitted: bool
    violated: list[str]
    retry_after_s: float | None
    limits: list[CheckedLimit]
