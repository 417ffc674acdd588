"""A Deployment of ours as the workload that it carries out. Pure.

A Deployment is ours where its labels name an application, a revision and the workload itself; who
changed it beside us stands in ``drift`` (an adopted one has none: all of it is theirs), and why it
makes no pods in ``reason``.
"""

from midstage.cluster.kubernetes import names
from midstage.cluster.kubernetes.drift import drift_of
from midstage.cluster.kubernetes.shapes_workload import Deployment
from midstage.cluster.kubernetes.templates import template_of
from midstage.cluster.objects import ADOPTED, Workload

OURS = f"{names.MANAGED_BY}={names.MIDSTAGE}"
"""The label selector of all that is ours."""


def is_ours(deployment: Deployment) -> bool:
    """Whether it carries out a workload, and names it."""
    labels = deployment.metadata.labels or {}
    return labels.get(names.WORKLOAD) == deployment.metadata.name


def is_adopted(deployment: Deployment) -> bool:
    """Whether somebody else made it, so that nothing but its count is ever set."""
    labels = deployment.metadata.labels or {}
    return is_ours(deployment) and labels.get(names.REVISION) == ADOPTED


def workload_of(deployment: Deployment) -> Workload:
    """The workload; a version that is not there, or is no number, is 0: nobody carried one out."""
    meta = deployment.metadata
    labels, annotations = meta.labels or {}, meta.annotations or {}
    return Workload(
        name=meta.name,
        namespace=meta.namespace,
        app=labels.get(names.APP, ""),
        revision=labels.get(names.REVISION, ""),
        template=template_of(deployment.spec.template),
        replicas=deployment.spec.replicas,
        spec_version=_number(annotations.get(names.VERSION, "")),
        scale_version=_number(annotations.get(names.SCALE_VERSION, "")),
        tolerates=annotations.get(names.TOLERATES) == "true",
        drift=() if is_adopted(deployment) else drift_of(meta.managed_fields),
        reason=_trouble(deployment),
        ready=deployment.status.ready_replicas,
        uid=meta.uid,
        resource_version=int(meta.resource_version),
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0


def _trouble(deployment: Deployment) -> str:
    """Why its pods can't be made, in the server's words: quota, limits, admission."""
    failing = (
        each
        for each in deployment.status.conditions or ()
        if each.type == "ReplicaFailure" and each.status == "True"
    )
    found = next(failing, None)
    return (found.message or found.reason or "") if found else ""
