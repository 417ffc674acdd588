"""A diff as people read it: what changes in the spec, in the cluster, and what stands against it.

The exit code is the worst of all: 0 nothing would change, 1 something would, 2 it would be refused
or can't be told.
"""

from collections.abc import Iterator, Sequence

import msgspec

SAME, CHANGES, REFUSED = 0, 1, 2


class Change(msgspec.Struct, rename={"before": "from", "after": "to"}):
    """One field, as JSON text."""

    path: str
    before: msgspec.Raw
    after: msgspec.Raw


class Plan(msgspec.Struct, frozen=True):
    """What the cluster says; an older deploy says nothing."""

    workload: str = ""
    creates: bool = False
    changes: tuple[Change, ...] = ()
    beside: tuple[Change, ...] = ()
    conflicts: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    unknown: str = ""


class Diff(msgspec.Struct):
    """What deploy answers."""

    app: str
    exists: bool
    changes: list[Change]
    revision: str
    new_revision: bool
    rollout: str
    reason: str
    cluster: Plan = Plan()


def lines(found: Diff) -> Iterator[str]:
    """The lines that say it; the first one says it all in short."""
    plan = found.cluster
    if found.exists and not found.changes:
        yield f"app {found.app} unchanged" + (", but not in the cluster" if _differs(plan) else "")
    else:
        what = f"revision {found.revision}" if found.new_revision else "same revision"
        yield f"app {found.app} {'changes' if found.exists else 'is new'}, {_how(found, what)}"
        yield from _changed(found.changes)
    if plan.changes:
        yield f"  in the cluster, {'a new ' if plan.creates else ''}workload {plan.workload}:"
        yield from (f"  {line}" for line in _changed(plan.changes))
    if plan.beside:
        yield "  beside it, in the cluster:"
        yield from (f"  {line}" for line in _changed(plan.beside))
    yield from (f"  ! set by another: {conflict}" for conflict in plan.conflicts)
    yield from (f"  ! refused: {refusal}" for refusal in plan.refusals)
    if plan.unknown:
        yield f"  ? the cluster does not say: {plan.unknown}"


def exit_code(found: Sequence[Diff]) -> int:
    """The worst of all."""
    return max((_code(each) for each in found), default=SAME)


def _code(found: Diff) -> int:
    plan = found.cluster
    if found.rollout == "refused" or plan.refusals or plan.unknown:
        return REFUSED
    changes = found.changes or _differs(plan) or not found.exists
    return CHANGES if changes else SAME


def _differs(plan: Plan) -> bool:
    return bool(plan.changes or plan.beside)


def _how(found: Diff, what: str) -> str:
    reason = f": {found.reason}" if found.reason else ""
    return f"{what}, rollout {found.rollout}{reason}"


def _changed(changes: Sequence[Change]) -> Iterator[str]:
    for change in changes:
        before, after = bytes(change.before).decode(), bytes(change.after).decode()
        match before, after:
            case "null", _:
                yield f"  + {change.path}: {after}"
            case _, "null":
                yield f"  - {change.path}: {before}"
            case _:
                yield f"  ~ {change.path}: {before} -> {after}"
