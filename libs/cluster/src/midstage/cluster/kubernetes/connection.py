"""Raw, authenticated HTTP to one Kubernetes API: bytes out, bytes in, errors translated once.

Whatever can't be asked now is unavailable: no connection within 5 s, nothing read for as long as
the caller grants, a 5xx. A server that is too busy (429) is asked again when it says so, for a few
seconds; one that does not know us (401) once more with credentials read anew. Thread-safe.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from midstage.cluster.kubernetes.access import Access
from midstage.cluster.kubernetes.errors import BusyError, error_of
from midstage.contracts.errors import RefusedError, UnavailableError

T = TypeVar("T")
Query = Mapping[str, str | int]

JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
WITHIN_S = 30.0
_CONNECT_S = 5.0
_BUSY_S = 5.0
_PIECE = 65_536
_NOTHING: Query = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A body, and when the server says that it is now (None: it does not say)."""

    body: bytes
    date: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A body that goes on; ``let_go`` ends it from another thread than the one that reads."""

    content_type: str
    pieces: Iterator[bytes]
    let_go: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    method: str
    path: str
    query: Query
    body: bytes | None = None
    content_type: str = JSON
    accept: str
    within_s: float | None


class Connection:
    """To the API at ``where`` (see ``Access``), for the cluster called ``name``."""

    def __init__(self, *, name: str, where: str) -> None:
        """Nothing is read or connected yet."""
        self.name = name
        self._access = Access(where)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = _NOTHING,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        within_s: float = WITHIN_S,
    ) -> bytes:
        """The body of a good answer.

        RefusedError, ConflictError, ExpiredError or UnavailableError, with the server's words,
        where it does not do it; ``within_s`` is how long it may be silent.
        """
        return self.answer(
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            accept=accept,
            within_s=within_s,
        ).body

    def answer(
        self,
        method: str,
        path: str,
        *,
        query: Query = _NOTHING,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        within_s: float = WITHIN_S,
    ) -> Answer:
        """As ``request``, with the server's time."""
        asked = _Asked(
            method=method,
            path=path,
            query=query,
            body=body,
            content_type=content_type,
            accept=accept,
            within_s=within_s,
        )
        with self._opened(asked) as answer, self._reaching():
            return Answer(body=answer.read(), date=_date(answer.headers.get("date", "")))

    @contextmanager
    def stream(
        self, path: str, *, query: Query = _NOTHING, silent_s: float | None, accept: str = JSON
    ) -> Iterator[Stream]:
        """A body in pieces as they come; UnavailableError where none comes for ``silent_s``.

        Leaving the block lets go of the connection, also in the middle.
        """
        asked = _Asked(method="GET", path=path, query=query, accept=accept, within_s=silent_s)
        with self._opened(asked) as answer:
            try:
                yield Stream(
                    content_type=answer.headers.get("content-type", ""),
                    pieces=self._pieces(answer),
                    let_go=lambda: _ended(answer),
                )
            finally:
                answer.close()

    def decoded(self, body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
        """What a body says; UnavailableError where it is not what it should be."""
        try:
            return decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as e:
            raise UnavailableError(f"{self.name} answers what can't be read: {e}") from e

    def close(self) -> None:
        """Let go of all connections that nobody reads from."""
        self._access.close()

    @contextmanager
    def _opened(self, asked: _Asked) -> Iterator[urllib3.BaseHTTPResponse]:
        """The good answer, its body not read yet."""
        answer = self._insisted(asked)
        try:
            yield answer
        finally:
            answer.release_conn()

    def _insisted(self, asked: _Asked) -> urllib3.BaseHTTPResponse:
        """Once more where it was not known who asks, again for a while where it is too busy."""
        until = time.monotonic() + _BUSY_S
        renewed = False
        while True:
            try:
                return self._asked(asked, final=renewed)
            except _UnknownError:
                renewed = True
            except BusyError as e:
                if time.monotonic() + e.after_s > until:
                    raise
                time.sleep(e.after_s)

    def _asked(self, asked: _Asked, *, final: bool) -> urllib3.BaseHTTPResponse:
        door, authorization = self._access.enter()
        headers = {"accept": asked.accept, "user-agent": "midstage"}
        if authorization:
            headers["authorization"] = authorization
        if asked.body is not None:
            headers["content-type"] = asked.content_type
        question = f"?{urlencode(asked.query)}" if asked.query else ""
        with self._reaching():
            answer = door.pool.request(
                asked.method,
                f"{door.host}{asked.path}{question}",
                headers=headers,
                body=asked.body,
                timeout=urllib3.Timeout(connect=_CONNECT_S, read=asked.within_s),
                preload_content=False,
                redirect=False,
                retries=False,
            )
            if 200 <= answer.status < 300:
                return answer
            body = answer.read()
            answer.release_conn()
        if answer.status == 401 and not final:
            self._access.forget(door)
            raise _UnknownError
        after = answer.headers.get("retry-after", "")
        raise error_of(self.name, answer.status, body, after)

    def _pieces(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """As the server sent them where it says so: half as many as what happens to be there."""
        with self._reaching():
            if answer.chunked:
                yield from answer.read_chunked(_PIECE)
                return
            while piece := answer.read1(_PIECE):
                yield piece

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (HTTPError, OSError) as e:
            raise UnavailableError(f"{self.name} does not answer: {e or type(e).__name__}") from e


class _UnknownError(RefusedError):
    """The server does not know who asks."""

    def __init__(self) -> None:
        super().__init__("the server does not know who asks", status=401)


def _ended(answer: urllib3.BaseHTTPResponse) -> None:
    with suppress(ValueError, RuntimeError, OSError):  # it has ended by itself
        answer.shutdown()


def _date(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header)
    except ValueError:
        return None
