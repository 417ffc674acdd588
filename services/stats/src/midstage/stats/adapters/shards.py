"""Another shard's periods, completeness and usage, asked over HTTP with the platform's token.

What it answers is additive, and harmless to ask twice. A shard that is away is UnavailableError, so
that nothing is ever closed without it; what it refuses is refused here with its own words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import httpx
import msgspec

from midstage.contracts.billing import OpenGap
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.stats.decide.billing import Part
from midstage.stats.decide.periods import Accepted, Period
from midstage.stats.views.completeness import CompletenessAnswer, CompletenessQuery
from midstage.stats.views.usage.parts import Part as UsagePart
from midstage.stats.views.usage.parts import Wished

TIMEOUT_S = 60.0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FarShard:
    """One of the other shards, at ``url``."""

    url: str
    token: str

    def gaps(self, period: Period) -> tuple[OpenGap, ...]:
        """See ``closing.Shard.gaps``."""
        return self._asked("/v1/shard/gaps", period, _gaps)

    def seal(self, period: Period, accepted: Accepted) -> Part:
        """See ``closing.Shard.seal``."""
        return self._asked("/v1/shard/seal", (period, accepted), _part)

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

    def _asked(self, path: str, body: object, read: Callable[[bytes], T]) -> T:
        try:
            answer = httpx.post(
                f"{self.url.rstrip('/')}{path}",
                content=msgspec.json.encode(body),
                headers={
                    "authorization": f"Bearer {self.token}",
                    "content-type": "application/json",
                },
                timeout=TIMEOUT_S,
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


def _meant(url: str, answer: httpx.Response) -> RefusedError | UnavailableError:
    try:
        said = _problem(answer.content).detail
    except msgspec.DecodeError:
        said = f"it answered {answer.status_code}"
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError(f"the shard at {url} can't do that now: {said}")
    return RefusedError(said, status=answer.status_code)


def far_shards(peers: Sequence[str], *, own: int, token: str) -> list[FarShard]:
    """All shards but the one with the number ``own``, in the order of their numbers."""
    return [FarShard(url=url, token=token) for at, url in enumerate(peers) if at != own]
