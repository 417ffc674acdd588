"""A folder of specs at once: everything in it is valid and has its place, or nothing is applied.

Each application then is a command of its own, so it may still be refused where the cluster or
another caller was faster; the answer says what became of each. The commands' ids follow from the
caller's ``Idempotency-Key``; without one from the bundle and the version that it was compared with,
so sending it again changes nothing, and going back to an older bundle does.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from typing_extensions import TypedDict

from midstage.contracts.apps import AppSpec
from midstage.contracts.errors import RefusedError
from midstage.deploy.api.answers import CommandAnswer, DiffAnswer
from midstage.deploy.api.specs import name_of, spec_of
from midstage.deploy.decide.room import Way
from midstage.deploy.decide.specs import check_together
from midstage.deploy.model import App
from midstage.specs.applications import Application, applications
from midstage.specs.bundle import Bundle, Packing, bundle, packing_of

MOST_APPS = 200

_TYPES = {
    "application/gzip": Packing.GZIP,
    "application/x-gzip": Packing.GZIP,
    "application/zip": Packing.ZIP,
}


class RefusedAnswer(TypedDict):
    """An application that could not be carried out after all, and why."""

    app: str
    status: int
    detail: str


class BundleAnswer(TypedDict):
    """What became of each application; ``bundle`` is the SHA-256 of the bytes that were sent."""

    bundle: str
    apps: list[CommandAnswer]
    refused: list[RefusedAnswer]


class Apps(Protocol):
    """Applications one by one."""

    def diff(self, app: str, body: bytes) -> DiffAnswer:
        """What a spec would change; RefusedError where it can't be."""
        ...

    def put(
        self, app: str, body: bytes, given_id: str | None, *, by: str, why: str
    ) -> CommandAnswer:
        """Carry it out; RefusedError where it can't be."""
        ...


class States(Protocol):
    """The applications' log."""

    def state(self, key: str) -> tuple[int, App]:
        """Version and state of one application."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundles:
    """Bundles as the route uses them."""

    apps: Apps
    log: States

    def apply(
        self, raw: bytes, content_type: str, given_id: str | None, *, by: str, why: str
    ) -> BundleAnswer:
        """Carry out all of it; RefusedError, and nothing is done, where any part is wrong."""
        _check_type(raw, content_type)
        held = bundle(raw)
        specs = self._checked(held)
        done: list[CommandAnswer] = []
        refused: list[RefusedAnswer] = []
        ids = {app: self._id(held, app, given_id) for app in specs}
        for app, spec in specs.items():
            try:
                done.append(self.apps.put(app, spec, ids[app], by=by, why=why))
            except RefusedError as e:
                refused.append({"app": app, "status": e.status, "detail": str(e)})
        return {"bundle": held.digest, "apps": done, "refused": refused}

    def _checked(self, held: Bundle) -> Mapping[str, bytes]:
        """The specs by name, each of which could be carried out by itself now."""
        found = applications(held)
        if not found or len(found) > MOST_APPS:
            raise RefusedError(f"a bundle has 1 to {MOST_APPS} applications; here {len(found)} are")
        bodies = {app.name: msgspec.json.encode(app.spec) for app in found}
        wrong: list[RefusedError] = []
        specs: dict[str, AppSpec] = {}
        for app in found:
            try:
                name_of(app.name)
                specs[app.name] = spec_of(bodies[app.name])
                self._check_room(app, bodies[app.name])
            except RefusedError as e:
                told = f"app {app.name}: {app.located(str(e))}"
                wrong.append(RefusedError(told, status=e.status))
        if wrong:
            raise _all_of(wrong)
        check_together(specs)
        return bodies

    def _check_room(self, app: Application, body: bytes) -> None:
        found = self.apps.diff(app.name, body)
        if found["rollout"] == Way.REFUSED.value:
            raise RefusedError(f"no room for this update: {found['reason']}", status=409)

    def _id(self, held: Bundle, app: str, given_id: str | None) -> str:
        if given_id is None:
            return f"bundle-{held.digest[:32]}-{app}-{self.log.state(app)[0]}"
        return f"bundle-{hashlib.sha256(given_id.encode()).hexdigest()[:32]}-{app}"


def router(bundles: Bundles) -> APIRouter:
    """The route; it blocks while the log answers, so it runs in a thread."""
    routes = APIRouter(prefix="/v1", tags=["bundles"])

    @routes.post(
        "/bundles", openapi_extra=_body(), responses={207: {"description": "Some were refused"}}
    )
    def post_bundle(
        *,
        request: Request,
        response: Response,
        body: Annotated[bytes, Depends(_raw)],
        by: Annotated[str, Query(max_length=200, description="Who asks; kept.")] = "api",
        why: Annotated[str, Query(max_length=500, description="The reason; kept.")] = "",
        idempotency_key: Annotated[
            str | None,
            Header(alias="Idempotency-Key", pattern='^"?[A-Za-z0-9._:-]{1,128}"?$'),
        ] = None,
    ) -> BundleAnswer:
        key = idempotency_key.strip('"') if idempotency_key else None
        content_type = request.headers.get("content-type", "")
        answer = bundles.apply(body, content_type, key, by=by, why=why)
        if answer["refused"]:
            response.status_code = 207
        return answer

    return routes


async def _raw(request: Request) -> bytes:
    return await request.body()


def _check_type(raw: bytes, content_type: str) -> None:
    said = _TYPES.get(content_type.partition(";")[0].strip().lower())
    if said is None:
        raise RefusedError(f"content-type: {' or '.join(Packing)} is taken", status=415)
    if packing_of(raw) is not said:
        raise RefusedError(f"the body is no {said.name.lower()} archive", status=415)


def _all_of(wrong: Sequence[RefusedError]) -> RefusedError:
    return RefusedError("; ".join(map(str, wrong)), status=wrong[0].status)


def _body() -> dict[str, object]:
    content = {
        packing.value: {"schema": {"type": "string", "format": "binary"}} for packing in Packing
    }
    return {"requestBody": {"required": True, "content": content}}
