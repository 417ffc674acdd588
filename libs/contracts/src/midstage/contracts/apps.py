"""What teams want to run: an application's spec, its revisions, and how each rollout ended.

A versioned log: written by deploy to ``midstage.apps.v1``, keyed by application; read by control,
hpa, gateway, stats and data through ``eventlog.versions``. A revision is the content hash of what
its replicas run, so a change of routes, counts or policy makes no new one.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from midstage.contracts.fact import Name
from midstage.contracts.limits import FailureRule
from midstage.contracts.policy import Policy
from midstage.contracts.running import (
    Check,
    Disruption,
    EnvName,
    Need,
    OnDrift,
    OnFailure,
    Source,
    Spread,
    Strategy,
    Volume,
)

AppName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
Prefix = Annotated[str, msgspec.Meta(pattern="^(/[A-Za-z0-9._~-]+)+$", max_length=256)]
Host = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9.-]{1,253}$")]
Replicas = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]


class Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of a spec's parts; deploy refuses unknown fields, readers of the log ignore them."""


class Resources(Spec, frozen=True, kw_only=True):
    """What one replica asks for and may use: ``cpu`` cores, ``memory_mb`` MiB, ``gpus`` GPUs."""

    cpu: Annotated[float, msgspec.Meta(gt=0, le=1024)] = 0.1
    memory_mb: Annotated[int, msgspec.Meta(ge=1, le=16_777_216)] = 128
    gpus: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0


class Probe(Spec, frozen=True, kw_only=True):
    """An HTTP GET on the replica; ``failures`` in a row change the verdict, a success mends it.

    ``path`` is asked for each ``every_s`` seconds, for the first time ``initial_delay_s`` seconds
    after the start; 200 to 399 within ``timeout_s`` seconds is a success.
    """

    path: Annotated[str, msgspec.Meta(pattern="^/", max_length=1024)] = "/readyz"
    every_s: Annotated[float, msgspec.Meta(ge=0.1, le=300)] = 1.0
    timeout_s: Annotated[float, msgspec.Meta(ge=0.05, le=60)] = 1.0
    failures: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    initial_delay_s: Seconds = 0.0


class Toleration(Spec, frozen=True, kw_only=True):
    """Lets replicas onto nodes with the taint ``key``; without ``value`` any value will do."""

    key: Word
    value: str | None = None


class Routes(Spec, frozen=True, kw_only=True):
    """How callers reach the application through the gateway: ``prefix`` of the path or ``hosts``.

    Without both nobody does. ``timeout_s``: how long a request may take. ``on_throttle_failure``:
    whether callers pass where their limits can't be asked.
    """

    prefix: Prefix | None = None
    hosts: Annotated[tuple[Host, ...], msgspec.Meta(max_length=32)] = ()
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0
    on_throttle_failure: FailureRule = FailureRule.OPEN


class Rollout(Spec, frozen=True, kw_only=True):
    """How a new revision replaces the old one.

    ``strategy``: rolling is the one there is. ``surge`` replicas more than wanted may run
    meanwhile. Where there is no room for even one, the update goes on in place as long as
    ``min_available`` replicas stay ready (None: all but one, at least one), or is refused. It has
    failed after ``progress_within_s`` seconds without progress. ``on_failure``: what becomes of a
    rollout that failed.
    """

    strategy: Strategy = Strategy.ROLLING
    surge: Annotated[int, msgspec.Meta(ge=0, le=100)] = 1
    min_available: Annotated[int, msgspec.Meta(ge=0, le=1000)] | None = None
    progress_within_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 600.0
    on_failure: OnFailure = OnFailure.HOLD


class AppSpec(Spec, frozen=True, kw_only=True):
    """One application: what its replicas run, how many, where, who reaches them, how they scale.

    ``image``: a container image; exactly one of it and ``command``. ``command``: the words of a
    program, in which ``$(PORT)`` is the port to serve on. ``args`` follow the command or the
    image's own entry point. ``env``: variables and their values; ``env_from``: variables whose
    values stand in secrets or configs of the cluster, a change of which restarts the replicas.
    ``volumes``: what is mounted. ``pull_secrets``: secrets with which
    images are fetched. ``resources``: what one replica asks for and may use.
    ``replicas``: the count where there is no scaling, with it the count to begin with; ``scaling``:
    how the count follows the load.
    ``readiness``: when a replica takes requests; ``liveness``: when it is restarted; ``checks``
    have to pass before a replica is ready. ``needs`` find the pool where none is named; ``pool``
    is the node label ``midstage.dev/pool``; ``node_selector``: labels that a node has to have;
    ``tolerations``: taints that it may have. ``spread``: how replicas lie apart. ``priority``: the
    cluster's class of priority. ``disruption``: what emptying nodes may take. ``routes``: who
    reaches it. ``rollout``: how revisions replace each other. ``drift``: what happens where
    somebody else changes it in the cluster. ``drain_s``: how long a replica may finish its requests
    once it is out of the balancer; ``grace_s``: from SIGTERM to SIGKILL. ``availability_target`` is
    a share of requests, 0.999 by default.
    """

    image: Text | None = None
    command: Annotated[tuple[Text, ...], msgspec.Meta(max_length=256)] = ()
    args: Annotated[tuple[Text, ...], msgspec.Meta(max_length=256)] = ()
    env: Annotated[
        dict[Word, Annotated[str, msgspec.Meta(max_length=32_768)]], msgspec.Meta(max_length=256)
    ] = {}
    env_from: Annotated[dict[EnvName, Source], msgspec.Meta(max_length=256)] = {}
    volumes: Annotated[tuple[Volume, ...], msgspec.Meta(max_length=32)] = ()
    pull_secrets: Annotated[tuple[Word, ...], msgspec.Meta(max_length=16)] = ()
    resources: Resources = Resources()
    replicas: Replicas = 1
    readiness: Probe = Probe()
    liveness: Probe | None = None
    checks: Annotated[tuple[Check, ...], msgspec.Meta(max_length=8)] = ()
    needs: Annotated[tuple[Need, ...], msgspec.Meta(max_length=8)] = ()
    pool: Word | None = None
    node_selector: Annotated[dict[Word, str], msgspec.Meta(max_length=64)] = {}
    tolerations: Annotated[tuple[Toleration, ...], msgspec.Meta(max_length=64)] = ()
    spread: Annotated[tuple[Spread, ...], msgspec.Meta(max_length=8)] = ()
    priority: Word | None = None
    disruption: Disruption | None = None
    routes: Routes = Routes()
    scaling: Policy | None = None
    rollout: Rollout = Rollout()
    drift: OnDrift = OnDrift.CORRECT
    drain_s: Seconds = 30.0
    grace_s: Seconds = 10.0
    availability_target: Annotated[float, msgspec.Meta(ge=0.5, le=0.99999)] = 0.999


class AppFactBase(msgspec.Struct, frozen=True, kw_only=True, tag_field="fact"):
    """What every fact of this log names."""

    app: AppName
    at: datetime


class AppSpecified(AppFactBase, frozen=True, kw_only=True, tag="AppSpecified"):
    """The application shall be so; ``revision`` is ``revision_of(spec, generation)``.

    ``undoes`` names the revision that was left by an undo, else it is empty. ``generation`` grows
    with each restart, which is the same spec as another revision. ``references``: of each secret
    and config of the spec that was there (``secret/name``) a fingerprint of what was in it.
    """

    spec: AppSpec
    revision: Name
    generation: Annotated[int, msgspec.Meta(ge=0)] = 0
    references: dict[str, str] = {}
    by: str = ""
    why: str = ""
    undoes: str = ""


class AppRemoved(AppFactBase, frozen=True, kw_only=True, tag="AppRemoved"):
    """The application shall be gone, replicas and routes."""

    by: str = ""
    why: str = ""


class How(StrEnum):
    """How a rollout goes."""

    FIRST = "first"  # there was nothing before
    SURGE = "surge"
    IN_PLACE = "in place"


class RolloutStarted(AppFactBase, frozen=True, kw_only=True, tag="RolloutStarted"):
    """Replicas of ``revision`` begin to replace those of ``previous`` (empty: none)."""

    revision: Name
    previous: str = ""
    how: How


class Verdict(StrEnum):
    """How a rollout ended."""

    COMPLETE = "complete"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class RolloutEnded(AppFactBase, frozen=True, kw_only=True, tag="RolloutEnded"):
    """All wanted replicas run ``revision``, or they never will: ``reason`` says why."""

    revision: Name
    verdict: Verdict
    reason: str = ""


class RolloutProgressed(AppFactBase, frozen=True, kw_only=True, tag="RolloutProgressed"):
    """How far a rollout is: ``ready`` of ``wanted`` replicas run it, ``old`` are still there.

    ``reason``: what it waits for now, in the words of whoever knows; empty while it goes on.
    """

    revision: Name
    wanted: Annotated[int, msgspec.Meta(ge=0)]
    ready: Annotated[int, msgspec.Meta(ge=0)]
    old: Annotated[int, msgspec.Meta(ge=0)]
    reason: str = ""


class RolloutPaused(AppFactBase, frozen=True, kw_only=True, tag="RolloutPaused"):
    """The rollout goes no further; what it has come to goes on serving, and scales."""

    revision: Name
    by: str = ""
    why: str = ""


class RolloutResumed(AppFactBase, frozen=True, kw_only=True, tag="RolloutResumed"):
    """The paused rollout goes on."""

    revision: Name
    by: str = ""
    why: str = ""


AppFact = (
    AppSpecified
    | AppRemoved
    | RolloutStarted
    | RolloutProgressed
    | RolloutPaused
    | RolloutResumed
    | RolloutEnded
)


def revision_of(spec: AppSpec, generation: int = 0) -> str:
    """The name of what the replicas of ``spec`` run: 10 hex digits of a SHA-256 over its template.

    Only what makes replicas differ counts: program, environment, needs, placing, probes, grace.
    """
    template: tuple[object, ...] = (
        spec.image,
        spec.command,
        sorted(spec.env.items()),
        spec.resources,
        spec.readiness,
        spec.liveness,
        spec.pool,
        sorted(spec.node_selector.items()),
        spec.tolerations,
        spec.grace_s,
    )
    later = (
        spec.args,
        sorted(spec.env_from.items()),
        spec.volumes,
        spec.pull_secrets,
        spec.checks,
        sorted(spec.needs),
        spec.spread,
        spec.priority or "",
        generation,
    )
    if any(later):  # revisions of before these fields keep their names
        template = (*template, later)
    return hashlib.sha256(msgspec.json.encode(template)).hexdigest()[:10]
