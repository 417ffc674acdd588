"""A workload as the Deployment that is applied for it. Pure.

Two managers write it: midstage-deploy everything but the count (``deployment``), midstage-scale the
count alone (``count``). At its creation alone it carries a count and no version (``created``), so
one whose writer died before the managers were told apart is seen as unfinished. What Kubernetes
counts in whole seconds is rounded up.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil

from midstage.cluster.kubernetes import names
from midstage.cluster.objects import ADOPTED, Template, Workload
from midstage.cluster.preview import Json
from midstage.contracts.apps import Probe, Toleration
from midstage.contracts.cluster import Amount
from midstage.contracts.running import Check, Source, Spread, Volume

Fields = Mapping[str, Json]

CHECKS = (
    'while [ $# -gt 0 ]; do /bin/sh -c "$2" || '
    '{ code=$?; echo "check $1 ended with $code" >&2; exit "$code"; }; shift 2; done'
)
"""Runs each of the scripts that follow it, each after its name; the first that fails ends it."""
_CHECKED_EVERY_S = 1


def deployment(workload: Workload, *, image: str = names.PROCESS_IMAGE) -> Fields:
    """All that midstage-deploy owns: everything but the count; ``image`` where none is given."""
    told = {names.VERSION: str(workload.spec_version)}
    if workload.tolerates:
        told[names.TOLERATES] = "true"
    return _deployment(workload, annotations=told, spec=_spec(workload, image))


def created(workload: Workload, *, image: str = names.PROCESS_IMAGE) -> Fields:
    """What is applied where there is none yet: with the count, and with no version."""
    spec = {"replicas": workload.replicas, **_spec(workload, image)}
    return _deployment(workload, annotations={}, spec=spec)


def adopted(name: str, *, namespace: str, app: str) -> Fields:
    """All that midstage-deploy owns of a Deployment that somebody else made."""
    marks = {
        names.APP: app,
        names.REVISION: ADOPTED,
        names.WORKLOAD: name,
        names.MANAGED_BY: names.MIDSTAGE,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": marks},
    }


def count(workload: Workload) -> Fields:
    """All that midstage-scale owns."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": workload.name,
            "namespace": workload.namespace,
            "annotations": {names.SCALE_VERSION: str(workload.scale_version)},
        },
        "spec": {"replicas": workload.replicas},
    }


def pod(workload: Workload, *, image: str = names.PROCESS_IMAGE) -> Fields:
    """One pod as the Deployment would make it, to ask whether it may be."""
    template = pod_template(workload, image=image)
    metadata = template["metadata"]
    assert isinstance(metadata, Mapping)
    generated = {"generateName": f"{workload.name}-", "namespace": workload.namespace}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, **generated},
        "spec": template["spec"],
    }


def labels(workload: Workload) -> Mapping[str, str]:
    """What the Deployment and its pods are known by."""
    return {
        names.APP: workload.app,
        names.REVISION: workload.revision,
        names.WORKLOAD: workload.name,
        names.MANAGED_BY: names.MIDSTAGE,
    }


def pod_template(workload: Workload, *, image: str) -> Fields:
    """What each pod is made from."""
    return {
        "metadata": {"labels": labels(workload)},
        "spec": _pod_spec(workload.template, workload, image),
    }


def _deployment(workload: Workload, *, annotations: Mapping[str, str], spec: Fields) -> Fields:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": workload.name,
            "namespace": workload.namespace,
            "labels": labels(workload),
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": spec,
    }


def _spec(workload: Workload, image: str) -> Fields:
    return {
        "revisionHistoryLimit": 1,
        "selector": {"matchLabels": {names.WORKLOAD: workload.name}},
        # a template that was changed by hand comes and goes without a replica less
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        },
        "template": pod_template(workload, image=image),
    }


def _pod_spec(template: Template, workload: Workload, image: str) -> Fields:
    spec: dict[str, Json] = {
        "containers": [_container(template, image)],
        "terminationGracePeriodSeconds": ceil(template.grace_s),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
    }
    optional: dict[str, Json] = {
        "volumes": [_volume(number, each) for number, each in enumerate(template.volumes)],
        "imagePullSecrets": [{"name": name} for name in template.pull_secrets],
        "nodeSelector": template.node_selector,
        "tolerations": [_toleration(each) for each in template.tolerations],
        "topologySpreadConstraints": [_spread(each, workload) for each in template.spread],
        "priorityClassName": template.priority,
    }
    return {**spec, **_given(optional)}


def _container(template: Template, image: str) -> Fields:
    container: dict[str, Json] = {
        "name": names.CONTAINER,
        "image": template.image or image,
        "env": list(_env(template)),
        "ports": [{"name": names.PORT_NAME, "containerPort": names.PORT, "protocol": "TCP"}],
        "readinessProbe": _probe(template.readiness),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    optional: dict[str, Json] = {
        "command": list(template.command),
        "args": list(template.args),
        "livenessProbe": None if template.liveness is None else _probe(template.liveness),
        "startupProbe": _checks(template.checks) if template.checks else None,
        "resources": _resources(template.requests),
        "volumeMounts": [_mount(number, each) for number, each in enumerate(template.volumes)],
    }
    return {**container, **_given(optional)}


def _env(template: Template) -> Iterator[Fields]:
    """PORT comes first, so that the others may name it; nobody else sets it."""
    yield {"name": "PORT", "value": str(names.PORT)}
    for name, value in template.env.items():
        if name != "PORT" and name not in template.env_from:
            yield {"name": name, "value": value}
    for name, source in template.env_from.items():
        if name != "PORT":
            yield {"name": name, "valueFrom": _source(source)}


def _source(source: Source) -> Fields:
    if source.secret is not None:
        return {"secretKeyRef": {"name": source.secret, "key": source.key}}
    return {"configMapKeyRef": {"name": source.config, "key": source.key}}


def _probe(probe: Probe) -> Fields:
    return {
        "httpGet": {"path": probe.path, "port": names.PORT_NAME, "scheme": "HTTP"},
        "periodSeconds": _seconds(probe.every_s),
        "timeoutSeconds": _seconds(probe.timeout_s),
        "failureThreshold": probe.failures,
        **_given({"initialDelaySeconds": ceil(probe.initial_delay_s)}),
    }


def _checks(checks: Sequence[Check]) -> Fields:
    scripts = [text for check in checks for text in (check.name, check.script)]
    return {
        "exec": {"command": ["/bin/sh", "-c", CHECKS, "checks", *scripts]},
        "periodSeconds": _CHECKED_EVERY_S,
        "timeoutSeconds": _seconds(sum(check.timeout_s for check in checks)),
        "failureThreshold": ceil(max(check.within_s for check in checks) / _CHECKED_EVERY_S),
    }


def _resources(amount: Amount) -> Fields:
    """Memory and GPUs may not be exceeded; of cores what is free may be used."""
    bounded = _given(
        {
            "memory": f"{amount.memory_mb}Mi" if amount.memory_mb else None,
            names.GPU: str(amount.gpus) if amount.gpus else None,
        }
    )
    cpu = {"cpu": f"{max(1, round(amount.cpu * 1000))}m"} if amount.cpu else {}
    return _given({"requests": {**cpu, **bounded}, "limits": bounded})


def _volume(number: int, volume: Volume) -> Fields:
    source: Fields
    if volume.secret is not None:
        source = {"secret": {"secretName": volume.secret}}
    elif volume.config is not None:
        source = {"configMap": {"name": volume.config}}
    elif volume.claim is not None:
        source = {"persistentVolumeClaim": {"claimName": volume.claim}}
    else:
        source = {"emptyDir": {"sizeLimit": f"{volume.scratch_mb}Mi"}}
    return {"name": f"v{number}", **source}


def _mount(number: int, volume: Volume) -> Fields:
    read_only = {"readOnly": True} if volume.read_only else {}
    return {"name": f"v{number}", "mountPath": volume.path, **read_only}


def _toleration(toleration: Toleration) -> Fields:
    if toleration.value is None:
        return {"key": toleration.key, "operator": "Exists"}
    return {"key": toleration.key, "operator": "Equal", "value": toleration.value}


def _spread(spread: Spread, workload: Workload) -> Fields:
    return {
        "topologyKey": spread.over,
        "maxSkew": spread.max_skew,
        "whenUnsatisfiable": "DoNotSchedule" if spread.required else "ScheduleAnyway",
        "labelSelector": {"matchLabels": {names.WORKLOAD: workload.name}},
    }


def _seconds(seconds: float) -> int:
    return max(1, ceil(seconds))


def _given(fields: Fields) -> dict[str, Json]:
    """Those that say something."""
    return {name: value for name, value in fields.items() if value}
