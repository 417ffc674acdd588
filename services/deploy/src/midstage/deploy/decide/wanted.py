"""How many replicas an application should have, how many must stay ready, and what they run.

hpa's count holds only where the spec has a policy, bounded by it: so a policy that was just
tightened holds at once. Only what somebody ordered outside of the policy holds there as well.
Without a policy, or before the first decision, the spec's count holds.
"""

from dataclasses import replace
from typing import assert_never

from midstage.cluster.objects import Template
from midstage.contracts.apps import AppSpec, Toleration
from midstage.contracts.cluster import Amount
from midstage.contracts.manual import (
    OverrideLifted,
    OverrideSet,
    ScalingPaused,
    ScalingResumed,
)
from midstage.contracts.policy import Policy
from midstage.contracts.running import Need
from midstage.contracts.scaling import ScaleDecided, ScalingFact, ScalingRemoved
from midstage.deploy.decide.running import NEED_LABELS, NEEDED
from midstage.deploy.model import POOL_LABEL, Scale


def evolve(scale: Scale, fact: ScalingFact) -> Scale:
    """The scale after a fact of ``midstage.scaling.v1``.

    An order by itself changes no count: hpa decides what follows from it.
    """
    match fact:
        case ScaleDecided():
            return Scale(replicas=fact.replicas, at=fact.at, ordered=_ordered(fact))
        case ScalingRemoved():
            return Scale(at=fact.at)
        case OverrideLifted():
            return replace(scale, ordered=False)
        case OverrideSet() | ScalingPaused() | ScalingResumed():
            return scale
        case _:
            assert_never(fact)


def wanted(spec: AppSpec, scale: Scale) -> int:
    """The count that holds now, at least 1."""
    policy = spec.scaling
    if policy is None:
        return spec.replicas
    count = spec.replicas if scale.replicas is None else scale.replicas
    return bounded(count, policy, scale)


def bounded(count: int, policy: Policy, scale: Scale) -> int:
    """Within the policy, unless somebody ordered a count outside of it."""
    return count if scale.ordered else max(policy.min, min(policy.max, count))


def _ordered(fact: ScaleDecided) -> bool:
    inputs = fact.evaluation.inputs
    within = inputs.policy.min <= fact.replicas <= inputs.policy.max
    return inputs.override is not None and not within


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
