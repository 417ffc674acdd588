"""People's own applications and those that midstage runs, together: the log's come first."""

from dataclasses import dataclass, replace

from midstage.gateway.model.apps import App, Deployed, Refused, Routing


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
