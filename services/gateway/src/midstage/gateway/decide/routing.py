"""People's own applications and those that midstage runs, together: the log's come first.

Make before break: who is to end serves on while whoever is to follow is not in Envoy's balancer.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from midstage.gateway.model.apps import App, Deployed, Place, Refused, Routing


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What Envoy is to be told, and who is left out."""

    routing: Routing
    refused: tuple[Refused, ...]


def merged(people: Routing, deployed: Deployed) -> Merged:
    """Both; of the file an application that asks for what is the log's is refused, alone."""
    names = {app.name for app in deployed.apps}
    ways = {way: app.name for app in deployed.apps for way in app.ways}
    kept: list[App] = []
    refused: list[Refused] = []
    for app in people.apps:
        shared = [f"{way} is {ways[way]}'s" for way in app.ways if way in ways]
        if app.name in names:
            shared.append("an application of this name is deployed")
        if shared:
            reason = f"in the applications file: {', '.join(shared)}"
            refused.append(Refused(app=app.name, reason=reason))
        else:
            kept.append(app)
    return Merged(
        routing=replace(people, apps=(*kept, *deployed.apps)),
        refused=(*deployed.refused, *refused),
    )


def unbroken(routing: Routing, *, serving: AbstractSet[Place]) -> Routing:
    """The routing for now; ``serving`` is where Envoy sends requests by its own newest word.

    Only who is in there is kept, so nobody serves again whom Envoy has shown as draining.
    """
    return replace(routing, apps=tuple(_unbroken(app, serving) for app in routing.apps))


def _unbroken(app: App, serving: AbstractSet[Place]) -> App:
    wanted = [one for one in app.replicas if not one.out]
    if not wanted or any((app.name, one.endpoint) in serving for one in wanted):
        return app
    kept = tuple(
        replace(one, out=False) if one.able and (app.name, one.endpoint) in serving else one
        for one in app.replicas
    )
    return app if kept == app.replicas else replace(app, replicas=kept)
