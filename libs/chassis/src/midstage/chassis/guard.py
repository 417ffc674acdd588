"""The one gate in front of every route: correlation, the bearer token, the body's size.

It is pure ASGI and wraps the whole application, so no route can forget it: every method but GET,
HEAD and OPTIONS needs the token (compared in constant time), and on private paths these too; but
not where routes were declared to look at others' keys themselves. No body above the limit of its
path, with or without a Content-Length, reaches a route. WebSockets are not served.
"""

import hmac
import re
import uuid
from collections import deque
from collections.abc import Collection, Mapping
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from midstage.chassis.logs import bound
from midstage.chassis.problems import REQUEST_ID, problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BODY_BYTES = 1024 * 1024
NO_BODIES: Mapping[str, int] = MappingProxyType({})
TOO_LARGE = "nothing was taken, send less at once"
OPERATOR = "operator"
"""In a request's state: whether it came with the token."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_NO_TRACE = "0" * 32


class Guard:
    """Lets a request through to ``app``, or answers it with a problem."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        body_bytes: int = BODY_BYTES,
        own_keys: Collection[str] = (),
        private: Collection[str] = (),
        bodies: Mapping[str, int] = NO_BODIES,
    ) -> None:
        """Guard ``app``; ValueError for an empty token, which everybody would know.

        The routes at the paths ``own_keys`` know keys of their own, and refuse by themselves; at
        and below the paths ``private`` nothing can be read without the token; ``bodies`` gives
        bytes by path where other bodies than the usual ones are taken.
        """
        if not token.strip():
            raise ValueError("the bearer token is empty")
        self._app = app
        self._token = token.encode()
        self._body_bytes = body_bytes
        self._own_keys = frozenset(own_keys)
        self._private = frozenset(private)
        self._bodies = dict(bodies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        correlation = correlation_of(headers)
        scope.setdefault("state", {})["request_id"] = correlation["request_id"]
        with bound(**correlation):
            await self._admit(scope, headers, receive, _tagged(send, correlation["request_id"]))

    async def _admit(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        request_id: str = scope["state"]["request_id"]
        operator = self._known(headers)
        scope["state"][OPERATOR] = operator
        closed = needs_token(scope["method"], scope["path"], private=self._private)
        if not operator and closed and scope["path"] not in self._own_keys:
            answer = problem(
                status=401,
                detail=f"{scope['method']} here needs the header Authorization: Bearer <token>",
                request_id=request_id,
                headers={"www-authenticate": 'Bearer realm="midstage"'},
            )
            await answer(scope, receive, send)
            return
        most = self._bodies.get(scope["path"], self._body_bytes)
        body = await self._body(headers, receive, most)
        if body is None:
            answer = problem(
                status=413,
                detail=f"the body is larger than {most} bytes; {TOO_LARGE}",
                request_id=request_id,
                headers={"connection": "close"},
            )
            await answer(scope, receive, send)
            return
        if body[-1]["type"] == "http.request":  # else the caller left: half a body reaches no route
            await self._app(scope, _replayed(body, receive), send)

    def _known(self, headers: Headers) -> bool:
        token = bearer(headers)
        return token is not None and hmac.compare_digest(token.encode("latin-1"), self._token)

    async def _body(self, headers: Headers, receive: Receive, most: int) -> list[Message] | None:
        """The request's messages, held until they are all there; None when they are too large."""
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > most:
            return None
        messages: list[Message] = []
        left = most
        while True:
            message = await receive()
            messages.append(message)
            left -= len(message.get("body", b""))
            if left < 0:
                return None
            if message["type"] != "http.request" or not message.get("more_body", False):
                return messages


def needs_token(method: str, path: str, *, private: Collection[str]) -> bool:
    """Whether a request is answered to nobody who has no key; ``private`` as ``Guard`` takes it."""
    if method not in SAFE_METHODS:
        return True
    return any(path == one or path.startswith(f"{one}/") for one in private)


def bearer(headers: Headers) -> str | None:
    """What the one header ``Authorization: Bearer …`` holds; None where it is not so."""
    given = headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else None


def correlation_of(headers: Headers) -> dict[str, str]:
    """What the logs of this request carry: the caller's ids where they are well formed."""
    given = headers.get(REQUEST_ID, "")
    request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    trace = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    if trace is None or trace[1] == _NO_TRACE:
        return {"request_id": request_id}
    return {"request_id": request_id, "trace_id": trace[1]}


def _tagged(send: Send, request_id: str) -> Send:
    async def tagged(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)[REQUEST_ID] = request_id
        await send(message)

    return tagged


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    held = deque(messages)

    async def replayed() -> Message:
        return held.popleft() if held else await receive()

    return replayed
