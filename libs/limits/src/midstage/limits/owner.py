"""Throttle over HTTP: leases, and checks that it answers itself."""

from collections.abc import Sequence
from typing import Final, TypeVar

import httpx
import msgspec

from midstage.limits.errors import NotTakenError, OwnerAwayError
from midstage.limits.wire import (
    Ask,
    Back,
    Checked,
    Ending,
    LeaseAnswer,
    LeasesAnswer,
    LeasesBody,
    Question,
)

WITHIN_S: Final = 2.0
_TOLD: Final = 300
_LEASES: Final = msgspec.json.Decoder(LeasesAnswer)
_CHECKED: Final = msgspec.json.Decoder(Checked)
_SETTLED: Final = msgspec.json.Decoder(dict[str, str])
_T = TypeVar("_T")


class Owner:
    """The owner of the limits; every failure is an OwnerAwayError."""

    def __init__(self, url: str, *, holder: str, token: str, within_s: float = WITHIN_S) -> None:
        """Nothing is asked yet."""
        self._holder = holder
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=within_s, verify=url.startswith("https:")
        )

    async def lease(self, asks: Sequence[Ask], backs: Sequence[Back] = ()) -> list[LeaseAnswer]:
        """Ask and give back; an answer to each question."""
        body = LeasesBody(holder=self._holder, asks=tuple(asks), backs=tuple(backs))
        return (await self._post("/v1/leases", body, _LEASES))["answers"]

    async def check(self, question: Question) -> Checked:
        """Charge the request to the owner's own part."""
        return await self._post("/v1/checks", question, _CHECKED)

    async def settle(self, ending: Ending) -> None:
        """Say what the request used; told again, it changes nothing."""
        await self._post("/v1/settlements", ending, _SETTLED)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def _post(self, path: str, body: object, decoder: msgspec.json.Decoder[_T]) -> _T:
        try:
            answer = await self._http.post(path, content=msgspec.json.encode(body))
            answer.raise_for_status()
            return decoder.decode(answer.content)
        except httpx.HTTPStatusError as e:
            kind = NotTakenError if e.response.is_client_error else OwnerAwayError
            raise kind(f"throttle answered {path}: {e.response.text[:_TOLD]!r}") from e
        except httpx.HTTPError as e:
            raise OwnerAwayError(f"throttle did not answer {path}: {e!r}") from e
        except msgspec.DecodeError as e:
            raise OwnerAwayError(f"throttle's answer to {path} can't be read: {e}") from e
