"""What deploy's log says of applications, as Envoy can be told: a bad one is refused alone.

Of one application the newest spec holds that passes the checks. Where two ask for the same prefix
or host, it is whose who asked first; the other one is reached by nobody, and its replicas are kept.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import assert_never

from midstage.contracts.apps import (
    AppFact,
    AppRemoved,
    AppSpec,
    AppSpecified,
    RolloutEnded,
    RolloutPaused,
    RolloutProgressed,
    RolloutResumed,
    RolloutStarted,
)
from midstage.contracts.errors import RefusedError
from midstage.gateway.decide.apps import checked
from midstage.gateway.model.apps import App, Deployed, Refused
from midstage.gateway.model.deployed import Pods, Slot

Slots = Mapping[str, tuple[int, Slot]]
"""Version and slot of each key."""

_PATH = re.compile(r"/[!-~]*")
_LEAST_TIMEOUT_S = 0.001
"""Envoy takes a smaller one as none at all."""
_BEGINNING = datetime.min.replace(tzinfo=UTC)


def evolve(slot: Slot, fact: AppFact) -> Slot:
    """The slot after ``fact``; a spec that can't be told to Envoy leaves what holds."""
    if slot.app and fact.app != slot.app:
        return replace(slot, refused=f"a fact under this key is about {fact.app!r}")
    match fact:
        case AppSpecified():
            return _specified(slot, fact)
        case AppRemoved():
            return replace(slot, app=fact.app, removed=True, refused="")
        case (
            RolloutStarted()
            | RolloutProgressed()
            | RolloutPaused()
            | RolloutResumed()
            | RolloutEnded()
        ):
            return slot
        case _:
            assert_never(fact)


def deployed(slots: Slots, *, pods: Mapping[str, Pods], stuck: Mapping[str, str]) -> Deployed:
    """All applications by name; ``stuck`` are keys with a fact that is not known here, and why.

    What a stuck key was before that fact holds.
    """
    apps: list[App] = []
    refused = {Refused(app=key, reason=reason) for key, reason in stuck.items()}
    taken: dict[str, str] = {}
    for key, (version, slot) in sorted(slots.items(), key=_who_asked_first):
        its = pods.get(key, Pods())
        app, reasons = _app(slot, key=key, version=version, pods=its, taken=taken)
        if app is not None:
            taken |= dict.fromkeys(app.ways, app.name)
            apps.append(app)
        refused |= {Refused(app=key, reason=reason) for reason in (*reasons, *its.refused)}
    return Deployed(
        apps=tuple(sorted(apps, key=lambda app: app.name)),
        refused=tuple(sorted(refused, key=lambda one: (one.app, one.reason))),
    )


def _specified(slot: Slot, fact: AppSpecified) -> Slot:
    try:
        _check(fact.app, fact.spec)
    except RefusedError as e:
        return replace(slot, refused=str(e))
    asks_on = slot.spec is not None and not slot.removed and slot.spec.routes == fact.spec.routes
    path = slot.readiness_path or fact.spec.readiness.path
    answers = fact.spec.readiness.path == path
    return Slot(
        app=fact.app,
        spec=fact.spec,
        routed_at=slot.routed_at if asks_on else _aware(fact.at),
        readiness_path=path,
        checked=slot.checked | {fact.revision} if answers else slot.checked,
    )


def _check(name: str, spec: AppSpec) -> None:
    """More than the contract asks for: what Envoy would refuse, and everything else with it."""
    checked(name, prefix=spec.routes.prefix or "", hosts=spec.routes.hosts)
    if not _PATH.fullmatch(spec.readiness.path):
        raise RefusedError(f"{name}: readiness path {spec.readiness.path!r} is none")


def _app(
    slot: Slot, *, key: str, version: int, pods: Pods, taken: Mapping[str, str]
) -> tuple[App | None, Sequence[str]]:
    """The application, where Envoy is to know it, and why it is not as it was asked for."""
    reasons = [slot.refused] if slot.refused else []
    if slot.spec is None:
        return None, reasons
    if slot.app != key:
        return None, [f"the facts under this key are about {slot.app!r}"]
    known = _known(slot, slot.spec, version=version, pods=pods)
    if slot.removed:
        return (_leaving(known) if pods.replicas or pods.homeless else None), reasons
    others = [f"{way} is {taken[way]}'s" for way in known.ways if way in taken]
    if others:
        return replace(known, prefix="", hosts=()), [*reasons, *others]
    return known, reasons


def _known(slot: Slot, spec: AppSpec, *, version: int, pods: Pods) -> App:
    replicas = (replace(one, checked=one.revision in slot.checked) for one in pods.replicas)
    return App(
        name=slot.app,
        prefix=spec.routes.prefix or "",
        hosts=tuple(dict.fromkeys(spec.routes.hosts)),
        replicas=tuple(replicas),
        homeless=pods.homeless,
        on_throttle_failure=spec.routes.on_throttle_failure,
        timeout_s=max(spec.routes.timeout_s, _LEAST_TIMEOUT_S),
        readiness_path=slot.readiness_path,
        version=version,
    )


def _leaving(app: App) -> App:
    out = tuple(replace(replica, out=True) for replica in app.replicas)
    return replace(app, prefix="", hosts=(), replicas=out)


def _who_asked_first(entry: tuple[str, tuple[int, Slot]]) -> tuple[datetime, str]:
    key, (_, slot) = entry
    return slot.routed_at or _BEGINNING, key


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
