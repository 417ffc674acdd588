"""All files that Envoy watches, and in what order a change of them is safe."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from midstage.gateway.model.apps import App, Routing, Setup
from midstage.gateway.views import bootstrap, clusters
from midstage.gateway.views.listener import listener
from midstage.gateway.views.routes import route_configuration
from midstage.gateway.views.shapes import Json, discovery, typed

Files = Sequence[tuple[str, bytes]]
"""Names and contents, in the order in which they are to be replaced."""

_CLUSTER = "envoy.config.cluster.v3.Cluster"


def steps(setup: Setup, *, before: Routing, after: Routing) -> Files:
    """From ``before`` to ``after`` so that no route ever points at a cluster that is missing.

    Make before break: an application's replicas and cluster come before its routes, and go after
    them. The bootstrap is last: once it is there, all that Envoy needs is. A file that stays the
    same may be left out by whoever writes; where only replicas change, theirs are all there are.
    """
    both = _united(before.apps, after.apps)
    known = set(before.apps)
    replicas = tuple(
        (bootstrap.endpoints(app.name), _file([clusters.assignment(app)]))
        for app in both
        if app not in known
    )
    if before.apps and _without_replicas(before) == _without_replicas(after):
        return replicas
    return (
        *replicas,
        (bootstrap.CLUSTERS, _clusters(setup, both)),
        (bootstrap.LISTENERS, _file([listener(setup)])),
        (bootstrap.ROUTES, _file([route_configuration(after)])),
        (bootstrap.CLUSTERS, _clusters(setup, after.apps)),
        (bootstrap.BOOTSTRAP, _json(bootstrap.bootstrap(setup))),
    )


def routes_version(after: Routing) -> str:
    """What Envoy says that it has once these routes are in force."""
    return _version([route_configuration(after)])


def _without_replicas(routing: Routing) -> Routing:
    bare = tuple(replace(app, replicas=(), homeless=(), version=0) for app in routing.apps)
    return replace(routing, apps=bare)


def _united(before: Sequence[App], after: Sequence[App]) -> Sequence[App]:
    kept = {app.name for app in after}
    return [*after, *(app for app in before if app.name not in kept)]


def _clusters(setup: Setup, apps: Sequence[App]) -> bytes:
    replicas = [clusters.cluster(app, setup.config_dir) for app in apps]
    return _file([typed(_CLUSTER, **one) for one in [clusters.throttle(setup.throttle), *replicas]])


def _file(resources: Sequence[Json]) -> bytes:
    return _json(discovery(_version(resources), resources))


def _version(resources: Sequence[Json]) -> str:
    return hashlib.sha256(_json(resources)).hexdigest()[:16]


def _json(value: Json) -> bytes:
    return msgspec.json.encode(value)
