"""Tokens of a pod's service account, renewed while the pod runs, as a real kubelet does it.

Each is asked for anew at 80 % of its life, or after a day. Where the API server does not give one,
the old ones stay and it is asked again, so a pod has the newest that there was.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError
from midstage.local.kubelet.shapes import TokenSource

SHARE = 0.8
LONGEST = timedelta(days=1)
_EARLIER = 0.02
"""Of its life, at most, so that many pods that began together do not ask together."""
_FIRST_S, _LONGEST_S = 1.0, 30.0

_log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token, and when it was asked for and runs out."""

    text: bytes
    asked_at: datetime
    expires_at: datetime

    @property
    def renewed_at(self) -> datetime:
        """When it is asked for anew at the latest."""
        return self.asked_at + min(SHARE * (self.expires_at - self.asked_at), LONGEST)


Tokens = Mapping[TokenSource, Token]


async def renewing(
    tokens: Tokens,
    *,
    asked: Callable[[], Awaitable[Tokens]],
    changed: Callable[[Tokens], None],
    now: Callable[[], datetime],
    what: str,
) -> None:
    """Ask for all ``tokens`` anew before the first of them runs out, until cancelled.

    ``asked`` raises UnavailableError, ``changed`` OSError where they can't be written: both are
    tried again.
    """
    wait_s = _FIRST_S
    while tokens:
        await asyncio.sleep(max(0.0, (_due_at(tokens) - now()).total_seconds()))
        try:
            newer = await asked()
            changed(newer)
        except (UnavailableError, OSError) as e:
            _log.warning("tokens_not_renewed", pod=what, reason=str(e))
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(_LONGEST_S, 2 * wait_s)
        else:
            tokens, wait_s = newer, _FIRST_S


def _due_at(tokens: Tokens) -> datetime:
    def due_at(token: Token) -> datetime:
        life = token.renewed_at - token.asked_at
        return token.renewed_at - random.uniform(0, _EARLIER) * life

    return min(due_at(each) for each in tokens.values())
