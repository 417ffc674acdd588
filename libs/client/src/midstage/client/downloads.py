"""One download into a file: asked for once, resumed where it broke off, and true to its hash.

Beside FILE stand ``FILE.part`` with the bytes so far and ``FILE.download`` with what was asked;
the same command goes on from there. FILE appears when its SHA-256 is that of the manifest.
"""

import hashlib
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
import msgspec

from midstage.client import api
from midstage.contracts.errors import RefusedError, UnavailableError

ATTEMPTS = 5
"""Without a further byte, until it is given up."""
FIRST_PAUSE_S = 0.5
POLL_S = 0.5
_KEPT_FOR = "run the same command again to go on from there"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What ``FILE.download`` remembers: where it was asked, for what, and its id there."""

    url: str
    wish: str
    id: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the service says of a download."""

    id: str
    state: str
    rows: int = 0
    rows_total: int | None = None
    bytes: int = 0
    sha256: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the bytes go: FILE, and what stands beside it until it is whole."""

    file: Path

    @property
    def part(self) -> Path:
        """The bytes so far."""
        return self.file.with_name(f"{self.file.name}.part")

    @property
    def memo(self) -> Path:
        """What was asked."""
        return self.file.with_name(f"{self.file.name}.download")

    def held(self) -> int:
        """How many bytes there are."""
        return self.part.stat().st_size if self.part.exists() else 0

    def clear(self) -> None:
        """Forget what was begun."""
        self.part.unlink(missing_ok=True)
        self.memo.unlink(missing_ok=True)


def fetch(
    service: api.Service,
    *,
    wish: str,
    body: Mapping[str, object],
    file: Path,
    tell: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> Manifest:
    """Have ``body`` made and bring it into ``file``; its manifest.

    ``wish`` is the same for the same command: then what it began before is gone on with. Raises
    RefusedError where ``file`` exists or the download failed, UnavailableError where it broke off.
    """
    if file.exists():
        raise RefusedError(f"{file} exists; remove it, or name another file")
    target = Target(file=file)
    try:
        manifest = _begun(service, wish=wish, body=body, target=target, tell=tell)
        manifest = _made(service, manifest, target, tell=tell, pause=pause)
        _brought(service, manifest, target, tell=tell, pause=pause)
        _verify(manifest, target)
        target.part.replace(file)
    except OSError as error:
        raise UnavailableError(f"{file} can't be written: {error.strerror}") from error
    target.clear()
    return manifest


def _begun(
    service: api.Service,
    *,
    wish: str,
    body: Mapping[str, object],
    target: Target,
    tell: Callable[[str], None],
) -> Manifest:
    """What the same command asked for before, where it is still there; else asked for now."""
    before = _remembered(target)
    if before is not None and (before.url, before.wish) == (service.url, wish):
        try:
            return _asked(service, before.id)
        except RefusedError as refused:
            if refused.status != HTTPStatus.NOT_FOUND:
                raise
            tell("what was begun before has expired; beginning anew")
    target.clear()
    answer = service.change("POST", "/v1/downloads", command_id=uuid.uuid4().hex, body=body)
    manifest = _manifest(answer)
    memo = Asked(url=service.url, wish=wish, id=manifest.id)
    target.memo.write_bytes(msgspec.json.encode(memo))
    return manifest


def _made(
    service: api.Service,
    manifest: Manifest,
    target: Target,
    *,
    tell: Callable[[str], None],
    pause: Callable[[float], None],
) -> Manifest:
    """The manifest when the file is ready."""
    while manifest.state not in {"ready", "failed"}:
        total = "?" if manifest.rows_total is None else f"{manifest.rows_total}"
        tell(f"{manifest.state}: {manifest.rows} of {total} rows")
        pause(POLL_S)
        manifest = _asked(service, manifest.id)
    if manifest.state == "failed":
        target.clear()
        raise RefusedError(f"the download failed: {manifest.reason}")
    return manifest


def _brought(
    service: api.Service,
    manifest: Manifest,
    target: Target,
    *,
    tell: Callable[[str], None],
    pause: Callable[[float], None],
) -> None:
    """All bytes into the part; goes on where the connection breaks off."""
    if target.held() > manifest.bytes:
        target.part.unlink()
    target.part.touch()
    failures = 0
    while (begin := target.held()) < manifest.bytes:
        try:
            _streamed(service, manifest, target, tell=tell)
        except httpx.HTTPError as error:
            failures = 1 if target.held() > begin else failures + 1
            if failures >= ATTEMPTS:
                raise UnavailableError(
                    f"{service.url} broke off at {target.held()} of {manifest.bytes} bytes "
                    f"({error}); {_KEPT_FOR}"
                ) from error
            tell(f"broke off at {target.held()} bytes; trying again")
            pause(FIRST_PAUSE_S * 2 ** (failures - 1))


def _streamed(
    service: api.Service, manifest: Manifest, target: Target, *, tell: Callable[[str], None]
) -> None:
    """Append what the part lacks; all of it where the service does not give a range."""
    begin = target.held()
    headers = {"accept-encoding": "identity", **service.authorization()}
    if begin:
        headers |= {"range": f"bytes={begin}-", "if-range": f'"{manifest.sha256}"'}
    path = f"/v1/downloads/{manifest.id}/file"
    with (
        service.client() as client,
        client.stream("GET", path, headers=headers) as answer,
    ):
        if answer.is_server_error:
            raise httpx.HTTPStatusError(
                f"it answered {answer.status_code}", request=answer.request, response=answer
            )
        if not answer.is_success:
            raise RefusedError(f"{service.url}{path} answered {answer.status_code}")
        resumed = answer.status_code == HTTPStatus.PARTIAL_CONTENT
        with target.part.open("ab" if resumed else "wb") as out:
            for chunk in answer.iter_raw():  # as they come: a buffer would be lost
                out.write(chunk)
                tell(f"{out.tell()} of {manifest.bytes} bytes")


def _verify(manifest: Manifest, target: Target) -> None:
    with target.part.open("rb") as part:
        found = hashlib.file_digest(part, "sha256").hexdigest()
    if found != manifest.sha256:
        target.clear()
        raise UnavailableError(
            f"what came has the SHA-256 {found} instead of {manifest.sha256}, and was removed; "
            "run the command again"
        )


def _asked(service: api.Service, download_id: str) -> Manifest:
    return _manifest(service.told(f"/v1/downloads/{download_id}", {}))


def _remembered(target: Target) -> Asked | None:
    try:
        return msgspec.json.decode(target.memo.read_bytes(), type=Asked)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _manifest(answer: bytes) -> Manifest:
    return api.read(answer, Manifest, whose="data's")
