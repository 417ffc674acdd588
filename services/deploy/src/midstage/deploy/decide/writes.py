"""The writes that make workloads as they should be; each carries the versions that it carries out.

A workload is written where its count, its versions or somebody else's settings differ from what
holds; who fights for the same fields again and again is left alone for a while (``Fight``).
"""

from collections.abc import Iterator, Sequence

from midstage.cluster.objects import Template, Workload
from midstage.contracts.running import OnDrift
from midstage.deploy.decide.fleet import Crew, Fleet
from midstage.deploy.decide.wanted import template_of
from midstage.deploy.model import (
    DeleteWorkload,
    PutWorkload,
    Situation,
    companions,
    workload_name,
)


def put(
    situation: Situation, template: Template, revision: str, replicas: int, *, expected: int
) -> PutWorkload:
    """The write of one workload."""
    current = situation.state.current
    spec = current.fact.spec if current else None
    workload = Workload(
        name=workload_name(situation.app, revision),
        namespace=situation.namespace,
        app=situation.app,
        revision=revision,
        template=template,
        replicas=replicas,
        spec_version=situation.state.carries,
        scale_version=situation.scale_version,
        disruption=spec.disruption if spec else None,
        tolerates=spec is not None and spec.drift is OnDrift.TOLERATE,
    )
    return PutWorkload(workload=workload, expected=expected)


def delete(crew: Crew) -> DeleteWorkload:
    """The end of one workload, with those of its pods that are marked."""
    return DeleteWorkload(
        name=crew.workload.name,
        expected=crew.workload.resource_version,
        ending=marked(crew),
    )


def stamped(situation: Situation, fleet: Fleet, aims: dict[str, int]) -> Iterator[PutWorkload]:
    """Workloads that have not the count, the versions or the settings that they should have."""
    stamps = (situation.state.carries, situation.scale_version)
    for crew in fleet.crews:
        seen = crew.workload
        aim = aims.get(seen.name, seen.replicas)
        is_so = (seen.spec_version, seen.scale_version, seen.replicas) == (*stamps, aim)
        if is_so and not _is_corrected(situation, seen.name, seen.drift):
            astray = situation.astray if crew is fleet.new else ()
            if not _is_corrected(situation, companions(situation.app), astray):
                continue
        template = template_for(situation, seen.revision)
        if template is not None:
            version = seen.resource_version
            yield put(situation, template, seen.revision, aim, expected=version)


def template_for(situation: Situation, revision: str) -> Template | None:
    """What the revision runs; None where the log remembers it no more."""
    for entry in reversed(situation.state.history):
        if entry.fact.revision == revision:
            return template_of(entry.fact.spec)
    return None


def marked(crew: Crew) -> frozenset[tuple[str, int]]:
    """Uid and version of the crew's marked pods, as a write names those that may end."""
    return frozenset((pod.uid, pod.resource_version) for pod in crew.pods if pod.draining)


def _is_corrected(situation: Situation, name: str, drift: Sequence[str]) -> bool:
    """Whether somebody else's settings are set right now."""
    current, fight = situation.state.current, situation.fights.get(name)
    corrects = current is not None and current.fact.spec.drift is OnDrift.CORRECT
    return bool(drift) and corrects and not (fight is not None and fight.waits)
