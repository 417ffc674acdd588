"""Lists of the inventory: filtered, searched, and cut into pages that stay stable while it changes.

A page is encoded as a whole by msgspec: for a thousand rows that is a tenth of what checking each
field of our own answer once more would take.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal, Protocol, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from midstage.contracts.inventory import Inventory
from midstage.control.views import apps, rows, workloads
from midstage.control.views.selecting import Wanted, terms

T = TypeVar("T")
MOST_ROWS = 1000

Text = Annotated[str | None, Query(max_length=256)]
Part = Annotated[str, Query(max_length=256)]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
After = Annotated[str | None, Query(max_length=1000)]
Labels = Annotated[str, Query(alias="labels", max_length=2000)]
PhaseText = Literal["pending", "starting", "running", "backoff", "stopping", "lost"]


class View(Protocol):
    """What is known of the clusters."""

    def ask(self, question: Callable[[Inventory], T]) -> T:
        """The answer of one moment."""
        ...


def of_all(
    cluster: Text = None,
    namespace: Text = None,
    app: Text = None,
    *,
    labels: Labels = "",
    q: Part = "",
) -> Wanted:
    """What can be asked of every kind."""
    return Wanted(cluster=cluster, namespace=namespace, app=app, labels=terms(labels), q=q)


def of_pods(
    wanted: Annotated[Wanted, Depends(of_all)],
    node: Text = None,
    *,
    phase: PhaseText | None = None,
    ready: bool | None = None,
) -> Wanted:
    """What can be asked of pods besides."""
    return Wanted(
        cluster=wanted.cluster,
        namespace=wanted.namespace,
        app=wanted.app,
        labels=wanted.labels,
        q=wanted.q,
        node=node,
        phase=phase,
        ready=ready,
    )


def of_nodes(
    cluster: Text = None, *, ready: bool | None = None, labels: Labels = "", q: Part = ""
) -> Wanted:
    """What can be asked of nodes."""
    return Wanted(cluster=cluster, ready=ready, labels=terms(labels), q=q)


def add(routes: APIRouter, view: View, now: Callable[[], datetime]) -> None:
    """The lists of ``view``."""

    @routes.get("/nodes", response_model=rows.Nodes)
    def get_nodes(
        wanted: Annotated[Wanted, Depends(of_nodes)], limit: Limit = MOST_ROWS, after: After = None
    ) -> Response:
        return told(view.ask(lambda it: rows.nodes(it, now(), wanted, after=after, limit=limit)))

    @routes.get("/pods", response_model=rows.Pods)
    def get_pods(
        wanted: Annotated[Wanted, Depends(of_pods)], limit: Limit = 100, after: After = None
    ) -> Response:
        return told(view.ask(lambda it: rows.pods(it, wanted, after=after, limit=limit)))

    @routes.get("/workloads", response_model=workloads.Workloads)
    def get_workloads(
        wanted: Annotated[Wanted, Depends(of_all)], limit: Limit = 100, after: After = None
    ) -> Response:
        return told(view.ask(lambda it: workloads.workloads(it, wanted, after=after, limit=limit)))

    @routes.get("/endpoints", response_model=workloads.EndpointSlices)
    def get_endpoints(
        wanted: Annotated[Wanted, Depends(of_all)], limit: Limit = 100, after: After = None
    ) -> Response:
        return told(view.ask(lambda it: workloads.endpoints(it, wanted, after=after, limit=limit)))

    @routes.get("/apps", response_model=apps.Apps)
    def get_apps(q: Part = "", limit: Limit = MOST_ROWS, after: After = None) -> Response:
        return told(view.ask(lambda it: apps.apps(it, q, after=after, limit=limit)))


def told(answer: object) -> Response:
    """``answer`` as JSON."""
    return Response(msgspec.json.encode(answer), media_type="application/json")
