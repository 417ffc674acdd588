"""Each question and order of somebody known leaves for the audit, with how it was answered.

Also those that are refused or fail. It is told after the answer, which never waits for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from fastapi import Request, Response

from midstage.chassis.logs import logger
from midstage.contracts.audit import LONGEST_QUERY, OPERATOR, Queried
from midstage.contracts.errors import RefusedError, UnavailableError

T = TypeVar("T")
_log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Where it is told, and of which service: ``note`` never waits."""

    service: str
    note: Callable[[Queried], None]
    now: Callable[[], datetime]

    def told(
        self,
        request: Request,
        answer: Callable[[], T],
        *,
        route: str,
        query: str | None = None,
        actor: str = OPERATOR,
    ) -> T:
        """What ``answer`` gives, 200 where it is no Response; ``query`` is what was asked, else
        that of the url.
        """
        status = 500
        try:
            answered = answer()
            status = answered.status_code if isinstance(answered, Response) else 200
        except RefusedError as refused:
            status = refused.status
            raise
        except UnavailableError:
            status = 503
            raise
        finally:
            said = request.url.query if query is None else query
            self.note(
                Queried(
                    actor=actor,
                    service=self.service,
                    method=request.method,
                    route=route,
                    query=said[:LONGEST_QUERY],
                    status=status,
                    at=self.now(),
                )
            )
        return answered


def order(request: Request, app: str, body: bytes | str = "") -> str:
    """An order about an application as it was given: application, query, body."""
    text = body if isinstance(body, str) else body.decode(errors="replace")
    return "&".join(filter(None, (f"app={app}", request.url.query, text)))


def told_lost(count: Callable[[int], None]) -> Callable[[int, str], None]:
    """Counts what is not in the audit, and says why."""

    def lost(how_many: int, why: str) -> None:
        count(how_many)
        _log.error("audit_lost", count=how_many, why=why)

    return lost
