"""Questions to a service's HTTP API; its problem documents become our errors.

A refusal (4xx) is a RefusedError with the service's own sentence, a service that does not answer
or can't now (5xx) is an UnavailableError that names its address.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Literal, TypeVar

import httpx
import msgspec

from midstage.client import platform
from midstage.contracts.errors import MidstageError, RefusedError, UnavailableError

TIMEOUT_S = 30.0
T = TypeVar("T")


class _Problem(msgspec.Struct):
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service's API: where it is, the token, and the directory that named it."""

    url: str
    token_file: Path | None = None
    directory: Path | None = None

    def client(self, timeout: httpx.Timeout | float = TIMEOUT_S) -> httpx.Client:
        """For questions to it; the machine's certificates, 0.1 s to read, only where it has TLS."""
        return httpx.Client(
            base_url=self.url,
            timeout=timeout,
            trust_env=self.directory is None,
            verify=self.url.startswith("https:"),
        )

    def ask(self, path: str, query: Mapping[str, str | None]) -> bytes:
        """The JSON text that GET gives; parameters that are None are left out."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._answer("GET", path, params=given)

    def told(self, path: str, query: Mapping[str, str | None]) -> bytes:
        """The JSON text that GET gives to whoever has the token; what is None is left out."""
        given = [(name, value) for name, value in query.items() if value is not None]
        return self.fetched(path, given)

    def fetched(
        self, path: str, query: Sequence[tuple[str, str]], *, accept: str = "application/json"
    ) -> bytes:
        """What GET gives to whoever has the token, in the form ``accept``."""
        headers = {"accept": accept, **self.authorization()}
        return self._answer("GET", path, params=tuple(query), headers=headers)

    def authorization(self) -> Mapping[str, str]:
        """The header of whoever has the token; none where its file is not known."""
        if self.token_file is None:
            return {}
        return {"authorization": f"Bearer {platform.token_in(self.token_file)}"}

    def posed(self, path: str, body: Mapping[str, object]) -> bytes:
        """What POST of a question gives to whoever has the token; nothing is changed."""
        return self.change("POST", path, command_id=uuid.uuid4().hex, body=body)

    @contextmanager
    def pieces(
        self, path: str, query: Mapping[str, str | None], *, silent_s: float | None = None
    ) -> Iterator[Iterator[bytes]]:
        """What GET gives as it comes; ``silent_s`` without a byte is an UnavailableError."""
        given = {name: value for name, value in query.items() if value is not None}
        within = httpx.Timeout(TIMEOUT_S, read=silent_s)
        try:
            with (
                self.client(within) as client,
                client.stream("GET", path, params=given) as answer,
            ):
                if not answer.is_success:
                    answer.read()
                    raise _meant(self.url, answer)
                yield answer.iter_bytes()
        except httpx.TimeoutException as e:
            raise UnavailableError(f"{self.url} has gone silent") from e
        except httpx.HTTPError as e:
            raise self._away(e) from e

    def change(
        self, method: str, path: str, *, command_id: str, body: Mapping[str, object] | None = None
    ) -> bytes:
        """Change something; the service takes the same ``command_id`` once."""
        content = b"" if body is None else msgspec.json.encode(body)
        return self._changed(method, path, command_id, content, "application/json")

    def send(self, path: str, *, command_id: str, content: bytes, content_type: str) -> bytes:
        """Change something by POST of a file."""
        return self._changed("POST", path, command_id, content, content_type)

    def _changed(
        self, method: str, path: str, command_id: str, content: bytes, content_type: str
    ) -> bytes:
        if self.token_file is None:
            raise RefusedError("a change needs the token; name its file with --token-file")
        return self._answer(
            method,
            path,
            headers={
                **self.authorization(),
                "idempotency-key": command_id,
                "content-type": content_type,
            },
            content=content,
        )

    def _answer(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | tuple[tuple[str, str], ...] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> bytes:
        try:
            with self.client() as client:
                answer = client.request(
                    method, path, params=params, headers=headers, content=content
                )
        except httpx.TimeoutException as e:
            raise UnavailableError(f"{self.url} did not answer within {TIMEOUT_S:g} s") from e
        except httpx.HTTPError as e:
            raise self._away(e) from e
        if answer.is_success:
            return answer.content
        raise _meant(self.url, answer)

    def _away(self, error: httpx.HTTPError) -> MidstageError:
        if self.directory is not None and isinstance(error, httpx.ConnectError):
            return platform.nothing_runs(self.directory)
        return UnavailableError(f"{self.url} does not answer: {error}")


Name = Literal["throttle", "stats", "gateway", "deploy", "control", "hpa", "data"]


def service(
    name: Name, *, directory: Path, server: str | None, token_file: Path | None = None
) -> Service:
    """The service ``name``: at ``server`` where one is given, else that of the directory."""
    if server is not None:
        return Service(url=platform.base_url(server), token_file=token_file)
    found = platform.in_directory(directory)
    return Service(
        url=getattr(found, name),
        token_file=token_file or Path(found.token_file),
        directory=directory,
    )


def read(answer: bytes, kind: type[T], *, whose: str) -> T:
    """The JSON text as what it should be; UnavailableError where it is none of midstage's.

    ``whose`` answer it is, as in ``deploy's``.
    """
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeError) as e:
        raise UnavailableError(f"{whose} answer is not one of midstage's: {e}") from e


def _meant(url: str, answer: httpx.Response) -> MidstageError:
    try:
        detail = msgspec.json.decode(answer.content, type=_Problem).detail
    except msgspec.DecodeError:
        detail = ""
    status = answer.status_code
    said = detail or f"it answered {status} {answer.reason_phrase}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError(f"{url} can't do that now: {said}")
    return RefusedError(said, status=status)
