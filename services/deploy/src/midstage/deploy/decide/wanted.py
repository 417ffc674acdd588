"""How many replicas an application should have, how many must stay ready, and what they run.

hpa's count holds only where the spec has a policy, bounded by it: so a policy that was just
tightened holds at once. Without a policy, or before the first decision, the spec's count holds.
"""

from typing import assert_never

from midstage.cluster.objects import Template
from midstage.contracts.apps import AppSpec, Toleration
from midstage.contracts.cluster import Amount
from midstage.contracts.running import Need
from midstage.contracts.scaling import ScaleDecided, ScalingFact, ScalingRemoved
from midstage.deploy.decide.running import NEED_LABELS, NEEDED
from midstage.deploy.model import POOL_LABEL, Scale


def evolve(scale: Scale, fact: ScalingFact) -> Scale:  # noqa: ARG001  the last fact is the state
    """The scale after a fact of ``midstage.scaling.v1``."""
    match fact:
        case ScaleDecided():
            return Scale(replicas=fact.replicas, at=fact.at)
        case ScalingRemoved():
            return Scale(at=fact.at)
        case _:
            assert_never(fact)


def wanted(spec: AppSpec, scale: Scale) -> int:
    """The count that holds now, at least 1."""
    policy = spec.scaling
    if policy is None:
        return spec.replicas
    count = spec.replicas if scale.replicas is None else scale.replicas
    return max(policy.min, min(policy.max, count))


def must_be_ready(spec: AppSpec, count: int) -> int:
    """How many of ``count`` replicas an update leaves ready: by default all but one, at least 1.

    Whoever takes them: a disruption budget holds for an update too.
    """
    given = spec.rollout.min_available
    least = max(1, count - 1) if given is None else min(given, count)
    budget = spec.disruption
    return least if budget is None else max(least, count - budget.max_unavailable)


def template_of(spec: AppSpec) -> Template:
    """What each replica runs; equal for all specs of one revision."""
    needs = spec.resources
    return Template(
        image=spec.image,
        command=spec.command,
        args=spec.args,
        env=spec.env,
        env_from=spec.env_from,
        volumes=spec.volumes,
        pull_secrets=spec.pull_secrets,
        requests=Amount(cpu=needs.cpu, memory_mb=needs.memory_mb, gpus=needs.gpus),
        readiness=spec.readiness,
        liveness=spec.liveness,
        checks=spec.checks,
        node_selector=_selector(spec),
        tolerations=_tolerations(spec),
        spread=spec.spread,
        priority=spec.priority,
        grace_s=spec.grace_s,
    )


def _selector(spec: AppSpec) -> dict[str, str]:
    """The labels of a node that takes the replicas: those that were named, and what they need."""
    pool = {} if spec.pool is None else {POOL_LABEL: spec.pool}
    return {**spec.node_selector, **pool, **{NEED_LABELS[need]: NEEDED for need in spec.needs}}


def _tolerations(spec: AppSpec) -> tuple[Toleration, ...]:
    """Nodes that may be taken back at any time keep everybody else away by a taint."""
    spot = Toleration(key=NEED_LABELS[Need.SPOT])
    if Need.SPOT not in spec.needs or spot in spec.tolerations:
        return spec.tolerations
    return (*spec.tolerations, spot)
