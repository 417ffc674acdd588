"""Raw, authenticated HTTP to one Kubernetes API: bytes out, bytes in, errors translated once.

Whatever can't be asked now is unavailable: no connection within 5 s, nothing read for as long as
the caller grants, a 5xx. A server that is too busy (429) is asked again when it says so, for a few
seconds; one that does not know us (401) once more with credentials read anew. Thread-safe.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from midstage.cluster.kubernetes.access import Access
from midstage.cluster.kubernetes.errors import BusyError, error_of
from midstage.contracts.errors import RefusedError, UnavailableError

T = TypeVar("T")
Query = Mapping[str, str | int]

JSON = "application/json"
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
        """The whole body of the answer; RefusedError, ConflictError, ExpiredError or
        UnavailableError with the server's words where it does not do it.
        """
        asked = {"body": body, "content_type": content_type, "accept": accept}
        return self.answer(method, path, query=query, within_s=within_s, **asked).body  # type: ignore[arg-type]

    def close(self) -> None:
        """Let go of all connections that nobody reads from."""
        self._access.close()
