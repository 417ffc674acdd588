"""The API server as the kubelet uses it: blocking calls in threads of their own, a few at a time.

A write that can't be made now is made later: ``insisted`` tries until it is done or refused.
"""

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec

from midstage.chassis.logs import logger
from midstage.cluster.kubernetes.connection import JSON, MERGE, Connection
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.local.kubelet.answers import Content, GivenToken, Written
from midstage.local.kubelet.programs import Contents, token_sources
from midstage.local.kubelet.shapes import Meta, Pod, TokenSource
from midstage.local.kubelet.tokens import Token, Tokens

T = TypeVar("T")
STRATEGIC = "application/strategic-merge-patch+json"
_WITHIN_S = 10.0
_FIRST_S, _LONGEST_S = 0.2, 2.0

_log = logger(__name__)


class Cluster:
    """Calls of one API server."""

    def __init__(self, connection: Connection, *, threads: int) -> None:
        """Nothing is asked yet; at most ``threads`` calls at a time."""
        self._connection = connection
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="api")

    async def get(self, path: str, kind: type[T]) -> T:
        """An object; RefusedError (404: it is not there) or UnavailableError."""
        return self._connection.decoded(await self._ask("GET", path), msgspec.json.Decoder(kind))

    async def create(self, path: str, body: object) -> None:
        """Make an object; RefusedError (409: there is one) or UnavailableError."""
        await self._ask("POST", path, body=body)

    async def merge(self, path: str, body: object, *, kind: str = MERGE) -> Meta:
        """Patch an object; what it is then. RefusedError or UnavailableError."""
        answer = await self._ask("PATCH", path, body=body, kind=kind)
        return self._connection.decoded(answer, msgspec.json.Decoder(Written)).metadata

    async def delete(self, path: str, body: object) -> None:
        """Delete an object; RefusedError or UnavailableError."""
        await self._ask("DELETE", path, body=body)

    async def contents(
        self, namespace: str, secrets: Collection[str], configs: Collection[str]
    ) -> Contents:
        """What is there of them; UnavailableError where that can't be known."""
        base = f"/api/v1/namespaces/{namespace}"
        return Contents(
            secrets=await self._existing(f"{base}/secrets", secrets, _decoded),
            configs=await self._existing(f"{base}/configmaps", configs, _plain),
        )

    async def tokens(self, pod: Pod, *, now: datetime) -> Tokens:
        """A new one of the pod's service account for each that it needs; UnavailableError."""
        meta = pod.metadata
        account = f"serviceaccounts/{pod.spec.service_account_name or 'default'}"
        path = f"/api/v1/namespaces/{meta.namespace}/{account}/token"
        bound = {"kind": "Pod", "apiVersion": "v1", "name": meta.name, "uid": meta.uid}
        found: dict[TokenSource, Token] = {}
        for source in token_sources(pod):
            spec = {
                "audiences": [source.audience] if source.audience else None,
                "expirationSeconds": source.expiration_seconds,
                "boundObjectRef": bound,
            }
            body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
            try:
                answer = await self._ask("POST", path, body=body)
            except RefusedError as e:
                raise UnavailableError(f"{account}: {e}") from e
            given = self._connection.decoded(answer, msgspec.json.Decoder(GivenToken))
            found[source] = Token(
                text=given.status.token.encode(),
                asked_at=now,
                expires_at=given.status.expiration_timestamp,
            )
        return found

    async def _existing(
        self,
        path: str,
        names: Collection[str],
        read: Callable[[Content], Mapping[str, bytes]],
    ) -> Mapping[str, Mapping[str, bytes]]:
        found = {}
        for name in sorted(names):
            try:
                found[name] = read(await self.get(f"{path}/{name}", Content))
            except RefusedError as e:
                if e.status != 404:
                    raise UnavailableError(f"{path}/{name}: {e}") from e
        return found

    async def _ask(self, method: str, path: str, *, body: object = None, kind: str = JSON) -> bytes:
        call = partial(
            self._connection.request,
            method,
            path,
            body=None if body is None else msgspec.json.encode(body),
            content_type=kind,
            within_s=_WITHIN_S,
        )
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


async def insisted(work: Callable[[], Awaitable[T]], *, what: str) -> T:
    """Do ``work`` until the server could be asked; RefusedError where it refused."""
    wait_s = _FIRST_S
    while True:
        try:
            return await work()
        except UnavailableError as e:
            if wait_s == _FIRST_S:
                _log.warning("told_later", what=what, reason=str(e))
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
        wait_s = min(_LONGEST_S, 2 * wait_s)


def _decoded(content: Content) -> Mapping[str, bytes]:
    return {key: base64.b64decode(value) for key, value in content.data.items()}


def _plain(content: Content) -> Mapping[str, bytes]:
    binary = {key: base64.b64decode(value) for key, value in content.binary_data.items()}
    return {**{key: value.encode() for key, value in content.data.items()}, **binary}
