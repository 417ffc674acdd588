"""What a spec must not say: contradictions in itself, and routes that another application has.

Each objection is a sentence that begins with the path of the field, like ``scaling.min``. Two
applications that ask for one route at the same moment may both get it: the gateway then says which
one has it.
"""

from collections.abc import Iterator, Mapping

from midstage.contracts.apps import AppSpec
from midstage.contracts.errors import RefusedError
from midstage.deploy.decide import running, scaling
from midstage.deploy.decide.wanted import must_be_ready
from midstage.deploy.model import App


def check(spec: AppSpec) -> None:
    """RefusedError with all contradictions in the spec."""
    found = [*_program(spec), *running.objections(spec), *scaling.objections(spec), *_rollout(spec)]
    if found:
        raise RefusedError("; ".join(found))


def check_together(specs: Mapping[str, AppSpec]) -> None:
    """RefusedError (409) where two applications that come together ask for one route."""
    taken: dict[str, str] = {}
    for app, spec in specs.items():
        prefix = () if spec.routes.prefix is None else (spec.routes.prefix,)
        for route in (*prefix, *spec.routes.hosts):
            other = taken.setdefault(route, app)
            if other != app:
                raise RefusedError(
                    f"applications {other!r} and {app!r} both ask for the route {route!r}",
                    status=409,
                )


def check_routes(app: str, spec: AppSpec, apps: Mapping[str, App]) -> None:
    """RefusedError (409) that names the application which has a route of the spec already."""
    for other, state in sorted(apps.items()):
        if other == app or state.current is None:
            continue
        theirs = state.current.fact.spec.routes
        if spec.routes.prefix is not None and spec.routes.prefix == theirs.prefix:
            raise RefusedError(
                f"routes.prefix: {theirs.prefix!r} belongs to application {other!r}", status=409
            )
        for number, host in enumerate(spec.routes.hosts):
            if host in theirs.hosts:
                raise RefusedError(
                    f"routes.hosts[{number}]: {host!r} belongs to application {other!r}",
                    status=409,
                )


def _program(spec: AppSpec) -> Iterator[str]:
    if spec.image is None and not spec.command:
        yield "command: give exactly one of image and command, neither is there"
    if spec.image is not None and spec.command:
        yield "command: give exactly one of image and command, not both"
    hosts = spec.routes.hosts
    for number, host in enumerate(hosts):
        if host in hosts[:number]:
            yield f"routes.hosts[{number}]: {host!r} is there twice"


def _rollout(spec: AppSpec) -> Iterator[str]:
    given = spec.rollout.min_available
    most = spec.scaling.max if spec.scaling else spec.replicas
    if given is not None and given > most:
        yield f"rollout.min_available: {given} is more than the {most} replicas there can be"
    elif spec.rollout.surge == 0 and must_be_ready(spec, spec.replicas) >= spec.replicas:
        yield (
            f"rollout.surge: 0 with {spec.replicas} of {spec.replicas} replicas to stay ready "
            "leaves no way to update; give surge 1 or a lower rollout.min_available"
        )
