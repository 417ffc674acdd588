"""What the stories of the loop ask and tell the platform, as people would over the APIs."""

import uuid
from collections.abc import Mapping, Sequence

import httpx
import msgspec

from midstage.contracts.apps import AppSpec, Probe, Resources, Routes, revision_of
from midstage.local import apps
from midstage.local.platform import Platform
from midstage.testkit.waiting import within
from tests import patient

READY_S = 120.0
_EACH_S = 0.1


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """As much of deploy's status as the stories look at."""

    wanted: int
    ready: int
    reason: str = ""


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """As much of deploy's answer as the stories look at."""

    revision: str
    version: int
    status: Status


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    """As much of a pod as the stories look at."""

    name: str
    app: str = ""
    revision: str = ""
    node: str = ""
    phase: str = ""
    ready: bool = False
    draining: bool = False


def spec(app: str, *, replicas: int, **changed: object) -> AppSpec:
    """A fixed number of replicas that start at once; ``env`` and the rest may be changed."""
    fixed = AppSpec(
        image=apps.IMAGE,
        env={"MIDSTAGE_REPLICA_COLD_START_S": "1"},
        resources=Resources(cpu=0.2, memory_mb=64),
        readiness=Probe(timeout_s=10.0),  # a replica on a busy machine is not unready
        replicas=replicas,
        routes=Routes(prefix=f"/{app}"),
        drain_s=30.0,
        grace_s=5.0,
    )
    return msgspec.structs.replace(fixed, **changed)


def ask(
    platform: Platform, method: str, path: str, body: bytes = b"", *, command: str = ""
) -> httpx.Response:
    """One change at deploy."""
    return patient.request(
        method,
        f"{platform.addresses.deploy}{path}",
        content=body,
        headers={
            "authorization": f"Bearer {platform.token}",
            "content-type": "application/json",
            "idempotency-key": command or uuid.uuid4().hex,
        },
    )


def delete(platform: Platform, app: str) -> None:
    """Ask that an application goes; the same again while it is not known whether that counts."""
    command = uuid.uuid4().hex
    path = f"/v1/apps/{app}"
    within(READY_S, lambda: ask(platform, "DELETE", path, command=command).is_success)


def put(platform: Platform, app: str, wanted: AppSpec) -> None:
    """Ask for an application; again where a killed deploy did not answer."""

    def asked() -> bool:
        try:
            return ask(platform, "PUT", f"/v1/apps/{app}", msgspec.json.encode(wanted)).is_success
        except httpx.TransportError:
            return False

    within(READY_S, asked)


def deployed(platform: Platform, app: str) -> Deployed | None:
    """What deploy says of it; None while it can't be asked."""
    try:
        answer = patient.get(f"{platform.addresses.deploy}/v1/apps/{app}")
    except httpx.TransportError:
        return None
    return msgspec.json.decode(answer.content, type=Deployed) if answer.is_success else None


def pods(platform: Platform, app: str) -> Sequence[Pod]:
    """The application's pods as control tells them."""
    answer = patient.get(
        f"{platform.addresses.control}/v1/pods", params={"app": app}
    ).raise_for_status()
    listed: Mapping[str, object] = answer.json()
    return msgspec.convert(listed["pods"], tuple[Pod, ...])


def settled(platform: Platform, app: str, *, replicas: int, revision: str = "") -> bool:
    """Whether so many replicas of one revision (this one) are ready, and nothing else is there.

    Without ``revision`` it may be an older one, which stood before the newest change was begun.
    """
    try:
        found = pods(platform, app)
    except httpx.HTTPError:
        return False
    revisions = {pod.revision for pod in found}
    return (
        len(found) == replicas
        and all(pod.ready and not pod.draining for pod in found)
        and len(revisions) <= 1
        and (not revision or revisions <= {revision})
    )


def await_settled(platform: Platform, app: str, *, replicas: int, revision: str = "") -> None:
    """Wait for it; the failure shows what is there instead."""
    try:
        within(
            READY_S,
            lambda: settled(platform, app, replicas=replicas, revision=revision),
            every=_EACH_S,
        )
    except AssertionError as e:
        raise AssertionError(f"{deployed(platform, app)}, {pods(platform, app)}") from e


def put_settled(platform: Platform, app: str, wanted: AppSpec) -> None:
    """Ask for an application, and wait until it is that very one."""
    put(platform, app, wanted)
    await_settled(platform, app, replicas=wanted.replicas, revision=revision_of(wanted))


def fault(platform: Platform, **what: object) -> None:
    """A fault on demand in the local cluster."""
    patient.post(
        f"{platform.addresses.cluster}/v1/faults",
        json=what,
        headers={"authorization": f"Bearer {platform.token}"},
    ).raise_for_status()
