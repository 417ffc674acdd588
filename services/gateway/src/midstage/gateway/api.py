"""What people may ask gateway: how far its request log is in Kafka."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter

from midstage.gateway.views.sources import ShippedSource, SourcesAnswer, shown


def router(shipped: Callable[[], Sequence[ShippedSource]]) -> APIRouter:
    """The service's routes."""
    routes = APIRouter(prefix="/v1")

    @routes.get("/sources")
    def sources() -> SourcesAnswer:
        """Each file of the request log that is still here, the oldest first."""
        return {"sources": [shown(one) for one in shipped()]}

    return routes
