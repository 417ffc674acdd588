"""What people may ask gateway: how far its request log is in Kafka, and what is in force."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter

from midstage.gateway.views import sources
from midstage.gateway.views.inforce import RoutesAnswer
from midstage.gateway.views.sources import ShippedSource, SourcesAnswer


def router(
    *, shipped: Callable[[], Sequence[ShippedSource]], in_force: Callable[[], RoutesAnswer]
) -> APIRouter:
    """The service's routes."""
    routes = APIRouter(prefix="/v1")

    @routes.get("/sources")
    def get_sources() -> SourcesAnswer:
        """Each file of the request log that is still here, the oldest first."""
        return {"sources": [sources.shown(one) for one in shipped()]}

    @routes.get("/routes")
    def get_routes() -> RoutesAnswer:
        """Each application that Envoy has, with its replicas, and who is refused and why."""
        return in_force()

    return routes
