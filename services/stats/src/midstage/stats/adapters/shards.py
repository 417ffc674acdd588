"""Another shard's part of whatever is asked of all, over HTTP with the platform's token.

What it answers is additive, and harmless to ask twice. A shard that is away is UnavailableError, so
that nothing is ever closed without it; what it refuses is refused here with its own words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import msgspec

from midstage.contracts.billing import OpenGap
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.load import LoadObserved
from midstage.stats.decide.billing import Part
from midstage.stats.decide.periods import Accepted, Period
from midstage.stats.model import Source
from midstage.stats.views.availability import AvailabilityQuery, Tally
from midstage.stats.views.completeness import CompletenessAnswer, CompletenessQuery
from midstage.stats.views.held import HeldAnswer, HeldQuery
from midstage.stats.views.recount import DayRecounted, WholeRecounted
from midstage.stats.views.rows import RowsPage, RowsQuery
from midstage.stats.views.status import Standing
from midstage.stats.views.usage.parts import Part as UsagePart
from midstage.stats.views.usage.parts import Wished

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 60.0
RECOUNTS_WITHIN_S = 600.0
AT_ONCE_S = 2.0
"""For what is asked each second or in passing, and to find out who is away."""
S = TypeVar("S")
T = TypeVar("T")


class _Problem(msgspec.Struct):
    detail: str = ""


# made before threads are: see the traps in docs/architecture.md
_problem = msgspec.json.Decoder(_Problem).decode
_gaps = msgspec.json.Decoder(tuple[OpenGap, ...]).decode
_part = msgspec.json.Decoder(Part).decode
_maybe: Callable[[bytes], Part | None] = msgspec.json.Decoder(Part | None).decode
_usage = msgspec.json.Decoder(UsagePart).decode
_completeness = msgspec.json.Decoder(CompletenessAnswer).decode
_sources = msgspec.json.Decoder(tuple[Source, ...]).decode
_tallies = msgspec.json.Decoder(tuple[Tally, ...]).decode
_rows = msgspec.json.Decoder(RowsPage).decode
_loads = msgspec.json.Decoder(tuple[LoadObserved, ...]).decode
_standing = msgspec.json.Decoder(Standing).decode
_held = msgspec.json.Decoder(HeldAnswer).decode
_day = msgspec.json.Decoder(DayRecounted).decode
_whole = msgspec.json.Decoder(WholeRecounted).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class FarShard:
    """One of the other shards, at ``url``."""

    url: str
    token: str

    def gaps(self, period: Period) -> tuple[OpenGap, ...]:
        """See ``closing.Shard.gaps``."""
        return self._asked("/v1/shard/gaps", period, _gaps)

    def seal(self, period: Period, accepted: Accepted, after: str | None = None) -> Part:
        """See ``closing.Shard.seal``."""
        return self._asked("/v1/shard/seal", (period, accepted, after), _part)

    def part(self, name: str) -> Part | None:
        """See ``closing.Shard.part``."""
        return self._asked("/v1/shard/part", (name, False), _maybe)

    def remade(self, name: str) -> Part | None:
        """See ``closing.Shard.remade``."""
        return self._asked("/v1/shard/part", (name, True), _maybe)

    def completeness(self, query: CompletenessQuery) -> CompletenessAnswer:
        """Its part of the answer."""
        return self._asked("/v1/shard/completeness", query, _completeness)

    def usage(self, wished: Wished) -> UsagePart:
        """Its part of an answer about usage."""
        return self._asked("/v1/usage/part", wished, _usage)

    def sources(self) -> tuple[Source, ...]:
        """Every source's state."""
        return self._asked("/v1/shard/sources", None, _sources)

    def tallies(self, query: AvailabilityQuery) -> tuple[Tally, ...]:
        """Its good requests and errors."""
        return self._asked("/v1/shard/tallies", query, _tallies)

    def rows(self, query: RowsQuery) -> RowsPage:
        """A page of its rows."""
        page = self._asked("/v1/shard/rows", query, _rows)
        if query.customer and any(row.customer != query.customer for row in page.requests):
            raise UnavailableError(f"{self.url} is an older shard that tells all customers' rows")
        return page

    def loads(self) -> tuple[LoadObserved, ...]:
        """What it told of the last seconds."""
        return self._asked("/v1/shard/loads", None, _loads, within_s=AT_ONCE_S)

    def standing(self) -> Standing:
        """How it stands."""
        return self._asked("/v1/shard/standing", None, _standing, within_s=AT_ONCE_S)

    def held(self, query: HeldQuery) -> HeldAnswer:
        """Which of these events are in its ledger."""
        answer = self._asked("/v1/shard/held", query, _held, within_s=AT_ONCE_S)
        if not answer.fits(query):
            raise UnavailableError(f"{self.url} is no shard of this midstage: it left some out")
        return answer

    def day(self, after: date) -> DayRecounted:
        """Its first day from ``after`` on, counted again."""
        return self._asked("/v1/shard/recount/day", after, _day, within_s=RECOUNTS_WITHIN_S)

    def whole(self) -> WholeRecounted:
        """What holds over all its days."""
        return self._asked("/v1/shard/recount/whole", None, _whole, within_s=RECOUNTS_WITHIN_S)

    def _asked(
        self, path: str, body: object, read: Callable[[bytes], T], *, within_s: float = TIMEOUT_S
    ) -> T:
        import httpx  # noqa: PLC0415  a fifth of the start of stats, which mostly is one shard

        try:
            answer = httpx.post(
                f"{self.url.rstrip('/')}{path}",
                content=msgspec.json.encode(body),
                headers={
                    "authorization": f"Bearer {self.token}",
                    "content-type": "application/json",
                },
                timeout=within_s,
                trust_env=False,
                verify=self.url.startswith("https:"),  # certificates take 0.1 s of CPU to read
            )
        except httpx.HTTPError as error:
            raise UnavailableError(f"the shard at {self.url} does not answer: {error}") from error
        if not answer.is_success:
            raise _meant(self.url, answer)
        try:
            return read(answer.content)
        except msgspec.DecodeError as error:
            raise UnavailableError(f"{self.url} is no shard of this midstage: {error}") from error


def _meant(url: str, answer: "httpx.Response") -> RefusedError | UnavailableError:
    try:
        said = _problem(answer.content).detail
    except msgspec.DecodeError:
        said = f"it answered {answer.status_code}"
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError(f"the shard at {url} can't do that now: {said}")
    return RefusedError(said, status=answer.status_code)


def in_order(own: S, far: Sequence[S], *, number: int) -> list[S]:
    """All shards by their numbers, ``own`` being the one with that ``number``."""
    return [*far[:number], own, *far[number:]]


def far_shards(peers: Sequence[str], *, own: int, token: str) -> list[FarShard]:
    """All shards but the one with the number ``own``, in the order of their numbers."""
    return [FarShard(url=url, token=token) for at, url in enumerate(peers) if at != own]
