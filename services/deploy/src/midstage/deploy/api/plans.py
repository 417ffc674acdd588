"""What the cluster itself says to a spec, before anything is done: changes, conflicts, refusals.

Of a new revision the changes are told against the one that holds now, though it is an object of its
own; the service and the budget are one, whatever the revision, and told as they are. Where the
cluster can't be asked, or what is known of it is old, the plan says so and refuses nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import msgspec

from midstage.cluster.objects import FieldChange, Preview, Workload
from midstage.cluster.protocol import ConflictError
from midstage.contracts.apps import AppSpec
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.deploy.decide.room import Way
from midstage.deploy.decide.trial import before, trial
from midstage.deploy.model import PutWorkload, Situation

_COUNT = "replicas"
_NOTHING = Preview()


class Previews(Protocol):
    """The cluster, as far as it says what a write would do."""

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        """What would change, and why it would not be taken; nothing is done."""
        ...


class Adopts(Previews, Protocol):
    """The cluster, as far as it also takes over what somebody else has made."""

    def adopt(self, name: str, *, app: str) -> Workload:
        """Mark it and its pods as the application's; they run on as they are."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """``workload``: whose fields change; ``unknown``: why the cluster does not tell, else empty."""

    workload: str
    creates: bool
    told: Preview = _NOTHING
    unknown: str = ""


def planned(
    cluster: Previews, situation: Situation, spec: AppSpec, revision: str, way: Way
) -> Planned:
    """What the cluster says to ``spec`` now."""
    tried = trial(situation, spec, revision, way)
    name, creates = tried.workload.name, tried.expected == 0
    try:
        told = _asked(cluster, tried, before(situation, tried))
    except ConflictError as e:
        return Planned(workload=name, creates=creates, unknown=f"it has just changed: {e}")
    except RefusedError as e:
        return Planned(workload=name, creates=creates, told=Preview(refusals=(str(e),)))
    except UnavailableError as e:
        return Planned(workload=name, creates=creates, unknown=str(e))
    return Planned(workload=name, creates=creates, told=_with_strays(told, situation.astray))


def _asked(cluster: Previews, tried: PutWorkload, old: PutWorkload | None) -> Preview:
    told = cluster.preview(tried.workload, expected=tried.expected)
    if old is None:
        return told
    was = cluster.preview(old.workload, expected=0)
    changes = tuple(_between(was.changes, told.changes))
    return msgspec.structs.replace(told, changes=changes)


def _with_strays(told: Preview, astray: tuple[str, ...]) -> Preview:
    """With what somebody has made of the service and the budget among the conflicts."""
    return msgspec.structs.replace(told, conflicts=(*told.conflicts, *astray))


def _between(was: tuple[FieldChange, ...], told: tuple[FieldChange, ...]) -> Iterator[FieldChange]:
    """What two objects of one name differ in; a count is not compared."""
    old = {each.path: each.after for each in was}
    new = {each.path: each.after for each in told}
    for path in sorted({*old, *new}):
        if old.get(path) != new.get(path) and not path.endswith(_COUNT):
            yield FieldChange(path=path, before=old.get(path, ""), after=new.get(path, ""))
