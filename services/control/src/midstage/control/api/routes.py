"""The routes of control: the inventory, changes as SSE, a pod's output, and how a node is emptied.

Only the last change anything, in the clusters and not here, so they need the token.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Protocol

from fastapi import APIRouter, Header, Path, Query, Response

from midstage.contracts.cluster import NodeObserved, PodObserved
from midstage.contracts.errors import RefusedError
from midstage.contracts.inventory import Inventory
from midstage.control.api import emptying, lists
from midstage.control.api.endless import Endless
from midstage.control.api.lists import Text, View
from midstage.control.model import Told
from midstage.control.views import apps, rows
from midstage.control.views.places import Filter

SSE = "text/event-stream"
LOGS = "text/plain; charset=utf-8"

Name = Annotated[str, Path(min_length=1, max_length=256)]
Id = Annotated[str | None, Query(max_length=2000)]
LastId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=2000)]
KindText = Literal["node", "pod", "workload", "endpoints", "cluster"]


class Changes(Protocol):
    """The stream of changes."""

    def listen(
        self, wanted: Filter, *, after: str | None, tail: int, follow: bool
    ) -> Iterator[Told]:
        """The changes after an id, or the last ones; then those that come."""
        ...


class Asked(emptying.Emptied, Protocol):
    """What is asked of a cluster itself: a pod's output, and to empty a node."""

    def logs(
        self, pod: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> Iterator[bytes]:
        """What the pod wrote, in pieces as they come."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What the routes ask."""

    view: View
    changes: Changes
    clusters: Mapping[str, Asked]
    endless: Endless
    now: Callable[[], datetime]

    def node(self, name: str, cluster: str | None) -> rows.NodeAnswer:
        """One node; RefusedError (404) where there is none, (409) where several are called so."""
        return self.view.ask(lambda held: rows.node(held, _node(held, name, cluster)))

    def node_known(self, name: str, cluster: str | None) -> NodeObserved:
        """What is known of one node; RefusedError as above."""
        return self.view.ask(lambda held: _node(held, name, cluster))

    def pod(self, cluster: str, namespace: str, name: str) -> rows.PodRow:
        """One pod; RefusedError (404) where there is none."""
        return self.view.ask(lambda held: rows.pod(held, _pod(held, cluster, namespace, name)))

    def app(self, name: str) -> apps.AppAnswer:
        """One application; RefusedError (404) where nothing of it is in any cluster."""
        found = self.view.ask(lambda held: apps.one(held, name))
        if found is None:
            raise RefusedError(f"nothing of an application {name!r} is in any cluster", status=404)
        return found

    def output(
        self, cluster: str, name: str, *, follow: bool, tail: int | None, previous: bool
    ) -> Response:
        """A pod's output, streamed through; RefusedError (404) where there is no such pod."""
        asked = self.clusters.get(cluster)
        if asked is None:
            raise RefusedError(f"there is no cluster {cluster!r} here", status=404)

        def source() -> Iterator[bytes]:
            if not follow:
                return begun(asked.logs(name, tail=tail, previous=previous))
            for _ in asked.logs(name, tail=0, previous=previous):
                pass  # a refusal comes before the answer, and a quiet pod keeps no route waiting
            return asked.logs(name, follow=True, tail=tail, previous=previous)

        return self.endless.answer(source, LOGS)

    def events(self, wanted: Filter, *, after: str | None, tail: int, follow: bool) -> Response:
        """The changes as SSE."""

        def source() -> Iterator[bytes]:
            told = self.changes.listen(wanted, after=after, tail=tail, follow=follow)
            return (said(each) for each in told)

        return self.endless.answer(source, SSE)


def router(api: Api) -> APIRouter:
    """The routes; they run in threads, because the view may be locked for a moment."""
    routes = APIRouter(prefix="/v1", tags=["inventory"])

    @routes.get("/clusters")
    def get_clusters() -> rows.Clusters:
        return api.view.ask(lambda held: rows.clusters(held, api.now()))

    @routes.get("/nodes/{name}")
    def get_node(name: Name, cluster: Text = None) -> rows.NodeAnswer:
        return api.node(name, cluster)

    @routes.get("/pods/{cluster}/{namespace}/{name}")
    def get_pod(cluster: Name, namespace: Name, name: Name) -> rows.PodRow:
        return api.pod(cluster, namespace, name)

    @routes.get("/apps/{name}")
    def get_app(name: Name) -> apps.AppAnswer:
        return api.app(name)

    lists.add(routes, api.view, api.now)
    emptying.add(routes, api.clusters, api.node_known)
    _streams(routes, api)
    return routes


def _streams(routes: APIRouter, api: Api) -> None:
    @routes.get("/pods/{cluster}/{namespace}/{name}/logs", response_class=Response)
    def get_logs(
        cluster: Name,
        namespace: Name,
        name: Name,
        *,
        follow: bool = False,
        tail: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
        previous: bool = False,
    ) -> Response:
        api.pod(cluster, namespace, name)
        return api.output(cluster, name, follow=follow, tail=tail, previous=previous)

    @routes.get("/events", response_class=Response)
    def get_events(
        after: Id = None,
        last_event_id: LastId = None,
        *,
        app: Text = None,
        kind: KindText | None = None,
        name: Text = None,
        everything: bool = False,
        tail: Annotated[int, Query(ge=0, le=1000)] = 0,
        follow: bool = True,
    ) -> Response:
        wanted = Filter(app=app, kind=kind, name=name, everything=everything)
        return api.events(wanted, after=last_event_id or after, tail=tail, follow=follow)


def said(told: Told) -> bytes:
    """One SSE block; without a change it is a comment that keeps the place."""
    place = b"" if told.place is None else f"id: {told.place}\n".encode()
    if told.happened is None:
        return b": alive\n" + place + b"\n"
    kind = f"event: {told.happened.type}\n".encode()
    return place + kind + b"data: " + told.happened.text + b"\n\n"


def begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """``pieces`` after the first was asked for, so that a refusal comes before the answer."""
    first = next(pieces, None)
    return iter(()) if first is None else _whole(first, pieces)


def _whole(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """A generator that ends with what it reads from, so a connection is let go of."""
    yield first
    yield from rest


def _node(held: Inventory, name: str, cluster: str | None) -> NodeObserved:
    found = [each for each in held.nodes() if each.name == name and cluster in (None, each.cluster)]
    if not found:
        raise RefusedError(f"there is no node {name!r}", status=404)
    if len(found) > 1:
        where = ", ".join(each.cluster for each in found)
        raise RefusedError(f"node {name!r} is in {where}; add ?cluster=", status=409)
    return found[0]


def _pod(held: Inventory, cluster: str, namespace: str, name: str) -> PodObserved:
    found = held.pod(cluster=cluster, namespace=namespace, name=name)
    if found is None:
        raise RefusedError(f"there is no pod {cluster}/{namespace}/{name}", status=404)
    return found
