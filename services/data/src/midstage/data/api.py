"""What analysts and trainers ask data over HTTP: pages of records, parts, downloads.

Answers rest on what is committed when they are asked. A download is the caller's to ask for once:
with the same ``Idempotency-Key`` it is the same one. Its bytes never change, so it can be resumed.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path as FilePath
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from midstage.chassis.commands import GivenId
from midstage.contracts.errors import RefusedError
from midstage.data.model import Download, Format, Part, Staged
from midstage.data.views import downloads, records
from midstage.data.views.status import PartsAnswer, StatusAnswer, status

_ID_CHARACTERS = 32

DownloadId = Annotated[str, Path(pattern=f"^[0-9a-f]{{{_ID_CHARACTERS}}}$")]
Text = Annotated[str | None, Query(max_length=1024)]


class Books(Protocol):
    """What the records answer."""

    def page(self, query: records.RecordsQuery) -> Sequence[records.Record]:
        """The records of one page, and one more where there is one."""
        ...

    def parts(self) -> Sequence[Part]:
        """Every part."""
        ...

    def staged(self) -> Sequence[Staged]:
        """The hours that have rows outside of parts."""
        ...


class Desk(Protocol):
    """Where downloads are asked for."""

    def ask(self, wanted: Download) -> Download:
        """Have it made; one that was asked for before is found."""
        ...

    def held(self) -> Sequence[Download]:
        """Every download."""
        ...

    def one(self, download_id: str) -> Download:
        """The download of that id."""
        ...

    def path(self, download: Download) -> FilePath:
        """Where its file stands."""
        ...

    def remove(self, download_id: str) -> None:
        """Let it go."""
        ...


class FiltersBody(BaseModel):
    """Which records; what is left out takes all."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    app: StrictStr | None = None
    customer: StrictStr | None = None
    outcome: StrictStr | None = None
    status: StrictInt | None = Field(default=None, ge=0, le=999)
    pod: StrictStr | None = None
    revision: StrictStr | None = None
    ref: StrictStr | None = None
    since: StrictStr | None = Field(default=None, alias="from")
    until: StrictStr | None = Field(default=None, alias="to")


class DownloadBody(BaseModel):
    """What a download shall be."""

    model_config = ConfigDict(extra="forbid")

    format: Format
    filters: FiltersBody = Field(default_factory=FiltersBody)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Downloads as the routes ask for them: ids and times are given here."""

    desk: Desk
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    expiry: timedelta

    def ask(self, body: DownloadBody, given_id: str | None) -> Download:
        """Carry out POST; RefusedError where the filters can't be meant."""
        wanted = records.filters(**body.filters.model_dump())
        name = self.new_id() if given_id is None else given_id.strip('"')
        now = self.now()
        return self.desk.ask(
            Download(
                id=hashlib.sha256(name.encode()).hexdigest()[:_ID_CHARACTERS],
                format=body.format,
                filters=downloads.given(wanted),
                created=now,
                expires=now + self.expiry,
            )
        )

    def file(self, download_id: str) -> Response:
        """The file with its hash as a strong ETag; FileResponse answers Range and If-Range by it.

        RefusedError: it isn't ready (409), or is gone (404).
        """
        download = downloads.ready(self.desk.one(download_id))
        path = self.desk.path(download)
        if not path.is_file():
            raise RefusedError(f"there is no download {download_id!r} any more", status=404)
        return FileResponse(
            path,
            media_type=downloads.MEDIA_TYPES[download.format],
            filename=f"records-{download.id}.{download.format.value}",
            headers={"etag": f'"{download.sha256}"', "cache-control": "private, immutable"},
        )


def wanted(
    *,
    app: Text = None,
    customer: Text = None,
    outcome: Text = None,
    status: Annotated[int | None, Query(ge=0, le=999)] = None,
    pod: Text = None,
    revision: Text = None,
    ref: Text = None,
    since: Annotated[str | None, Query(alias="from", max_length=64)] = None,
    until: Annotated[str | None, Query(alias="to", max_length=64)] = None,
) -> records.Filters:
    """The filters in a query."""
    return records.filters(
        app=app,
        customer=customer,
        outcome=outcome,
        status=status,
        pod=pod,
        revision=revision,
        ref=ref,
        since=since,
        until=until,
    )


def router(*, books: Books, asking: Asking, lag: Callable[[], int | None]) -> APIRouter:
    """The routes of data."""
    routes = APIRouter(prefix="/v1", tags=["data"])
    routes.include_router(_records(books))
    routes.include_router(_downloads(asking))

    @routes.get("/status", response_model=StatusAnswer)
    def get_status() -> Response:
        return _json(status(books.parts(), books.staged(), lag_records=lag()))

    return routes


def _records(books: Books) -> APIRouter:
    routes = APIRouter(prefix="/records")

    @routes.get("", response_model=records.RecordsAnswer)
    def get_records(
        filters: Annotated[records.Filters, Depends(wanted)],
        order: Annotated[str, Query(max_length=16)] = records.Order.OLDEST.value,
        after: Annotated[str | None, Query(max_length=8192)] = None,
        limit: Annotated[int, Query(ge=1, le=records.MOST_RECORDS)] = 100,
    ) -> Response:
        query = records.query(filters, order=order, after=after, limit=limit)
        return _json(records.answer(query, books.page(query)))

    @routes.get("/parts", response_model=PartsAnswer)
    def get_parts() -> Response:
        return _json(PartsAnswer(parts=tuple(books.parts())))

    return routes


def _downloads(asking: Asking) -> APIRouter:
    routes = APIRouter(prefix="/downloads")
    desk = asking.desk

    @routes.post("", response_model=Download, status_code=202)
    def post_download(body: DownloadBody, idempotency_key: GivenId = None) -> Response:
        download = asking.ask(body, idempotency_key)
        return _json(download, status=202, location=f"/v1/downloads/{download.id}")

    @routes.get("", response_model=downloads.DownloadsAnswer)
    def get_downloads() -> Response:
        return _json(downloads.answer(desk.held()))

    @routes.get("/{download_id}", response_model=Download)
    def get_download(download_id: DownloadId) -> Response:
        return _json(desk.one(download_id))

    @routes.delete("/{download_id}", status_code=204)
    def delete_download(download_id: DownloadId) -> Response:
        desk.remove(download_id)
        return Response(status_code=204)

    @routes.head("/{download_id}/file", include_in_schema=False)
    @routes.get("/{download_id}/file", response_class=FileResponse)
    def get_file(download_id: DownloadId) -> Response:
        return asking.file(download_id)

    return routes


def _json(answer: object, *, status: int = 200, location: str | None = None) -> Response:
    return Response(
        msgspec.json.encode(answer),
        status_code=status,
        media_type="application/json",
        headers=None if location is None else {"location": location},
    )
