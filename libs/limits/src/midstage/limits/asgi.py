"""An ASGI middleware: each HTTP request is admitted by the limits, or answered with a 429.

Pure ASGI, of no framework. Leases are renewed from the first scope on, and go back when the server
shuts down. A slot is held until the application has answered. What is not known to pass and has no
open limit is a 503; a customer that is none, 400.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec

from midstage.limits.client import Limits
from midstage.limits.errors import LimitsUnavailableError, QuotaExceededError
from midstage.limits.headers import (
    Cause,
    old_headers,
    problem,
    rate_limit,
    rate_limit_policy,
    retry_after,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
CustomerOf = Callable[[Scope], str | None]
"""Who calls; None: nobody that limits are for, and the request passes."""
KeyOf = Callable[[Scope], str | None]
"""The name of the caller's API key; None: it has none."""
Headers = list[tuple[bytes, bytes]]

_NS_PER_S: Final = 1_000_000_000
_PROBLEM: Final = b"application/problem+json"


class LimitsMiddleware:
    """Stands before ``app``; ``service`` is the application's name in the limits."""

    def __init__(
        self,
        app: App,
        *,
        limits: Limits,
        service: str,
        customer: str | CustomerOf = "x-midstage-customer",
        key: str | KeyOf | None = None,
        old: bool = False,
    ) -> None:
        """``customer`` is the header that names it, or a function; ``old``: ``x-ratelimit-*`` too.

        ``key`` is one of the key's name, where limits ask for it: throttle is asked for each such
        request. A header is believed: let it be one that callers can't set themselves.
        """
        self._app = app
        self._limits = limits
        self._service = service
        self._customer_of = _header(customer) if isinstance(customer, str) else customer
        self._key_of = _header(key) if isinstance(key, str) else key
        self._old = old

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One scope: HTTP is limited, a lifespan ends with the leases given back."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._closing(send))
            return
        customer = self._customer_of(scope) if scope["type"] == "http" else None
        if customer is None:
            await self._app(scope, receive, send)
            return
        await self._limits.start()
        key = self._key_of(scope) if self._key_of else None
        acquired = self._limits.acquire(customer, app=self._service, key=key or "")
        async with AsyncExitStack() as until_answered:
            try:
                await until_answered.enter_async_context(acquired)
            except QuotaExceededError as e:
                await self._refuse(send, customer, Cause.QUOTA_EXCEEDED, e)
            except LimitsUnavailableError as e:
                await self._refuse(send, customer, Cause.REDUCED_CAPACITY, e)
            except ValueError as e:
                document = {"type": "about:blank", "title": "Bad Request", "status": 400}
                await _answer(send, 400, {**document, "detail": str(e)}, [])
            else:
                await self._app(scope, receive, self._telling(send, customer))

    async def _refuse(
        self,
        send: Send,
        customer: str,
        cause: Cause,
        raised: QuotaExceededError | LimitsUnavailableError,
    ) -> None:
        told, wait_s = problem(cause), 1.0
        if isinstance(raised, QuotaExceededError):
            told, wait_s = problem(cause, raised.violated), raised.retry_after_s or 1.0
        document = {
            "type": told.type,
            "title": told.title,
            "status": told.status,
            "detail": str(raised),
            "violated-policies": list(told.violated),
        }
        after = retry_after(int(wait_s * _NS_PER_S))
        headers = [*self._headers(customer), (b"retry-after", after.encode())]
        await _answer(send, told.status, document, headers)

    def _telling(self, send: Send, customer: str) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers(customer)]
            await send(message)

        return sent

    def _headers(self, customer: str) -> Headers:
        """What is left in this process; nothing where it is asked check by check."""
        policies, states = self._limits.told(customer, app=self._service)
        if not policies:
            return []
        told = [
            ("ratelimit", rate_limit(states)),
            ("ratelimit-policy", rate_limit_policy(policies)),
        ]
        if self._old:
            scarcest = min(range(len(states)), key=lambda each: states[each].remaining)
            told += old_headers(policies[scarcest], states[scarcest])
        return [(name.encode(), value.encode()) for name, value in told]

    def _closing(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await self._limits.close()
            await send(message)

        return sent


def _header(name: str) -> CustomerOf:
    wanted = name.lower().encode()

    def found(scope: Scope) -> str | None:
        for key, value in scope["headers"]:
            if key == wanted:
                return bytes(value).decode("latin-1")
        return None

    return found


async def _answer(send: Send, status: int, document: object, headers: Headers) -> None:
    body = msgspec.json.encode(document)
    length = (b"content-length", str(len(body)).encode())
    start = [(b"content-type", _PROBLEM), length, *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
