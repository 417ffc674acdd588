"""Downloads as they are asked for and shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from midstage.contracts.errors import RefusedError
from midstage.data.model import Download, Format, State
from midstage.data.views.records import Filters, filters

MEDIA_TYPES = {
    Format.JSONL: "application/jsonl",
    Format.PARQUET: "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadsAnswer:
    """Every download that is held, newest first."""

    downloads: tuple[Download, ...]


def given(wanted: Filters) -> Mapping[str, str | int]:
    """The filters that are set, by the names that callers use; times in UTC."""
    named: dict[str, str | int | None] = {
        "app": wanted.app,
        "customer": wanted.customer,
        "outcome": None if wanted.outcome is None else wanted.outcome.value,
        "status": wanted.status,
        "pod": wanted.pod,
        "revision": wanted.revision,
        "ref": wanted.ref,
        "from": None if wanted.since is None else _rfc3339(wanted.since),
        "to": None if wanted.until is None else _rfc3339(wanted.until),
    }
    return {name: value for name, value in named.items() if value is not None}


def meant(named: Mapping[str, str | int]) -> Filters:
    """The filters that ``given`` has shown."""
    texts = {name: str(value) for name, value in named.items() if name != "status"}
    status = named.get("status")
    return filters(
        app=texts.get("app"),
        customer=texts.get("customer"),
        outcome=texts.get("outcome"),
        status=None if status is None else int(status),
        pod=texts.get("pod"),
        revision=texts.get("revision"),
        ref=texts.get("ref"),
        since=texts.get("from"),
        until=texts.get("to"),
    )


def answer(held: Iterable[Download]) -> DownloadsAnswer:
    """The downloads as they are shown."""
    ordered = sorted(held, key=lambda one: (one.created, one.id), reverse=True)
    return DownloadsAnswer(downloads=tuple(ordered))


def ready(download: Download) -> Download:
    """The download, whose file can be read; RefusedError (409) where it can't be yet."""
    match download.state:
        case State.READY:
            return download
        case State.FAILED:
            raise RefusedError(f"the download failed: {download.reason}", status=409)
        case State.WAITING | State.MAKING:
            raise RefusedError("the download is not ready yet; ask again", status=409)


def failed(download: Download, reason: str) -> Download:
    """The download after it failed: nothing of it is kept but why."""
    return replace(download, state=State.FAILED, rows=0, bytes=0, reason=reason)


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
