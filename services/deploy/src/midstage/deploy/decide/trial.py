"""The first write that a spec would lead to, to be tried on the cluster without doing it. Pure.

Of a revision that runs already its workload as it would become; of a new one the workload with as
many replicas as come beside the old ones at once: that is what quota has to leave room for.
"""

from midstage.cluster.objects import Workload
from midstage.contracts.apps import AppSpec
from midstage.contracts.cluster import WorkloadObserved
from midstage.contracts.running import OnDrift
from midstage.deploy.decide.room import Way
from midstage.deploy.decide.wanted import bounded, template_of, wanted
from midstage.deploy.model import PutWorkload, Situation, workload_name


def trial(situation: Situation, spec: AppSpec, revision: str, way: Way) -> PutWorkload:
    """What would be written; versions are those that the workload carries, or none."""
    name = workload_name(situation.app, revision)
    known = next((each for each in situation.workloads if each.name == name), None)
    workload = Workload(
        name=name,
        namespace=situation.namespace,
        app=situation.app,
        revision=revision,
        template=template_of(spec),
        replicas=_more(situation, spec, way) if known is None else _kept(situation, spec, known),
        spec_version=known.spec_version if known else 0,
        scale_version=known.scale_version if known else 0,
        disruption=spec.disruption,
        tolerates=spec.drift is OnDrift.TOLERATE,
    )
    return PutWorkload(workload=workload, expected=known.resource_version if known else 0)


def before(situation: Situation, tried: PutWorkload) -> PutWorkload | None:
    """The same for the spec that holds now, as if it were new under the tried one's name.

    None where nothing holds: then all of it is new.
    """
    current = situation.state.current
    if current is None or tried.expected:
        return None
    spec = current.fact.spec
    workload = Workload(
        name=tried.workload.name,
        namespace=situation.namespace,
        app=situation.app,
        revision=tried.workload.revision,
        template=template_of(spec),
        replicas=0,
        disruption=spec.disruption,
        tolerates=spec.drift is OnDrift.TOLERATE,
    )
    return PutWorkload(workload=workload, expected=0)


def _more(situation: Situation, spec: AppSpec, way: Way) -> int:
    """Replicas that come before an old one has gone; in place none does."""
    count = wanted(spec, situation.scale)
    match way:
        case Way.IN_PLACE | Way.REFUSED:
            return 0
        case Way.SURGE:
            return min(count, spec.rollout.surge)
        case _:
            return count


def _kept(situation: Situation, spec: AppSpec, known: WorkloadObserved) -> int:
    """A count changes by this only where the spec says another one than before."""
    current = situation.state.current
    if spec.scaling is not None:
        return bounded(known.replicas, spec.scaling, situation.scale)
    said = current.fact.spec.replicas if current else None
    return known.replicas if said == spec.replicas else spec.replicas
