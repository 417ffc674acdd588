"""A folder of specs at once: everything in it is valid and has its place, or nothing is applied.

Each application then is a command of its own, so it may still be refused where the cluster or
another caller was faster; the answer says what became of each. The commands' ids follow from the
caller's ``Idempotency-Key``; without one from the bundle and the version that it was compared with,
so sending it again changes nothing, and going back to an older bundle does.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from typing_extensions import TypedDict

from midstage.chassis.commands import GivenId
from midstage.contracts.apps import AppSpec
from midstage.contracts.errors import RefusedError
from midstage.deploy.api import BY, By, EvenSo, Why
from midstage.deploy.api.answers import CommandAnswer, DiffAnswer
from midstage.deploy.api.specs import name_of, spec_of
from midstage.deploy.decide.room import Way
from midstage.deploy.decide.specs import check_together
from midstage.deploy.model import App
from midstage.specs.applications import Application, applications
from midstage.specs.bundle import Bundle, Packing, bundle, packing_of

MOST_APPS = 100

_EITHER = "application/octet-stream"
_TYPES = {
    "application/gzip": (Packing.GZIP,),
    "application/x-gzip": (Packing.GZIP,),
    "application/zip": (Packing.ZIP,),
    _EITHER: tuple(Packing),
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
        self, app: str, body: bytes, given_id: str | None, *, by: str, why: str, even_so: bool
    ) -> CommandAnswer:
        """Carry it out; RefusedError where it can't be."""
        ...


class States(Protocol):
    """The applications' log."""

    def state(self, key: str) -> tuple[int, App]:
        """Version and state of one application."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A body and its content type."""

    raw: bytes
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asks and why; ``even_so``: also what the cluster says it would not take."""

    by: str
    why: str
    even_so: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundles:
    """Bundles as the route uses them."""

    apps: Apps
    log: States

    def apply(self, sent: Sent, given_id: str | None, asked: Asked) -> BundleAnswer:
        """Carry out all of it; RefusedError, and nothing is done, where any part is wrong."""
        _check_type(sent)
        held = bundle(sent.raw)
        specs = self._checked(held, even_so=asked.even_so)
        done: list[CommandAnswer] = []
        refused: list[RefusedAnswer] = []
        ids = {app: self._id(held, app, given_id) for app in specs}
        for app, spec in specs.items():
            try:
                answer = self.apps.put(
                    app, spec, ids[app], by=asked.by, why=asked.why, even_so=asked.even_so
                )
            except RefusedError as e:
                refused.append({"app": app, "status": e.status, "detail": str(e)})
            else:
                done.append(answer)
        return {"bundle": held.digest, "apps": done, "refused": refused}

    def _checked(self, held: Bundle, *, even_so: bool) -> Mapping[str, bytes]:
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
                self._check_place(app, bodies[app.name], even_so=even_so)
            except RefusedError as e:
                told = f"app {app.name}: {app.located(str(e))}"
                wrong.append(RefusedError(told, status=e.status))
        if wrong:
            raise _all_of(wrong)
        check_together(specs)
        return bodies

    def _check_place(self, app: Application, body: bytes, *, even_so: bool) -> None:
        found = self.apps.diff(app.name, body)
        if found["rollout"] == Way.REFUSED.value:
            raise RefusedError(f"no room for this update: {found['reason']}", status=409)
        said = "; ".join(found["cluster"]["refusals"])
        if said and not even_so:
            raise RefusedError(f"the cluster would not take it: {said}", status=409)

    def _id(self, held: Bundle, app: str, given_id: str | None) -> str:
        if given_id is None:
            return f"bundle-{held.digest[:32]}-{app}-{self.log.state(app)[0]}"
        return f"bundle-{hashlib.sha256(given_id.encode()).hexdigest()[:32]}-{app}"


async def sent(request: Request) -> Sent:
    """The body as it came, and what it says it is."""
    return Sent(raw=await request.body(), content_type=request.headers.get("content-type", ""))


def router(bundles: Bundles) -> APIRouter:
    """The route; it blocks while the log answers, so it runs in a thread."""
    routes = APIRouter(prefix="/v1", tags=["bundles"])

    @routes.post(
        "/bundles", openapi_extra=_body(), responses={207: {"description": "Some were refused"}}
    )
    def post_bundle(
        *,
        response: Response,
        body: Annotated[Sent, Depends(sent)],
        by: By = BY,
        why: Why = "",
        even_so: EvenSo = False,
        idempotency_key: GivenId = None,
    ) -> BundleAnswer:
        key = idempotency_key.strip('"') if idempotency_key else None
        answer = bundles.apply(body, key, Asked(by=by, why=why, even_so=even_so))
        if answer["refused"]:
            response.status_code = HTTPStatus.MULTI_STATUS
        return answer

    return routes


def _check_type(given: Sent) -> None:
    said = _TYPES.get(given.content_type.partition(";")[0].strip().lower())
    if said is None:
        raise RefusedError(f"content-type: {' or '.join([*Packing, _EITHER])} is taken", status=415)
    if packing_of(given.raw) not in said:
        raise RefusedError(f"the body is no {' or '.join(each.told for each in said)}", status=415)


def _all_of(wrong: Sequence[RefusedError]) -> RefusedError:
    return RefusedError("; ".join(map(str, wrong)), status=wrong[0].status)


def _body() -> dict[str, object]:
    content = {
        kind: {"schema": {"type": "string", "format": "binary"}} for kind in (*Packing, _EITHER)
    }
    return {"requestBody": {"required": True, "content": content}}
