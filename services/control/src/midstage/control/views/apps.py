"""What runs of each application, from its workloads and pods: pure.

``desired`` is what the clusters were told, not what hpa or deploy want: deploy says that.
"""

from collections import Counter

from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.contracts.cluster import Phase, PodObserved
from midstage.contracts.inventory import Inventory
from midstage.control.views.rows import PodRow, pod

COMING = (Phase.PENDING, Phase.STARTING)


class RevisionRow(TypedDict):
    """One revision of an application: replicas as the clusters were told, and ready ones."""

    revision: str
    desired: int
    ready: int


class AppRow(TypedDict):
    """An application; ``reasons`` are those of pods that are not ready, the most frequent first."""

    app: str
    desired: int
    ready: int
    starting: int
    pods: int
    restarts: int
    revisions: list[RevisionRow]
    reasons: list[str]


class Apps(TypedDict):
    """Applications that have a workload or a pod; ``next`` null: there are no more."""

    apps: list[AppRow]
    next: str | None


class AppAnswer(AppRow):
    """One application with its pods."""

    running: list[PodRow]


def apps(held: Inventory, q: str, *, after: str | None, limit: int) -> Apps:
    """At most ``limit`` applications by name after ``after``; ``q`` is a part of the name."""
    named = {each.app for each in held.workloads()} | {each.app for each in held.pods()}
    found = [name for name in sorted(named - {""}) if q in name and name > (after or "")]
    shown, more = found[:limit], len(found) > limit
    return {"apps": [app(held, name) for name in shown], "next": shown[-1] if more else None}


def one(held: Inventory, name: str) -> AppAnswer | None:
    """One application with its pods; None where nothing of it is in any cluster."""
    found = held.pods_of(name)
    if not found and not held.workloads_of(name):
        return None
    return {**app(held, name), "running": [pod(held, each) for each in found]}


def app(held: Inventory, name: str) -> AppRow:
    """One application."""
    found, workloads = held.pods_of(name), held.workloads_of(name)
    revisions = {each.revision for each in workloads} | {each.revision for each in found}
    return {
        "app": name,
        "desired": sum(each.replicas for each in workloads),
        "ready": sum(_serves(each) for each in found),
        "starting": sum(each.phase in COMING for each in found),
        "pods": len(found),
        "restarts": sum(each.restarts for each in found),
        "revisions": [
            {
                "revision": revision,
                "desired": sum(w.replicas for w in workloads if w.revision == revision),
                "ready": sum(_serves(p) for p in found if p.revision == revision),
            }
            for revision in sorted(revisions)
        ],
        "reasons": _reasons([each for each in found if not each.ready]),
    }


def _serves(pod: PodObserved) -> bool:
    return pod.ready and not pod.draining


def _reasons(pods: list[PodObserved]) -> list[str]:
    told = Counter(_reason(each) for each in pods if each.reason or each.message)
    return [f"{count} × {text}" for text, count in told.most_common()]


def _reason(pod: PodObserved) -> str:
    return ": ".join(part for part in (pod.reason, pod.message) if part)
