"""What the pods of a Deployment run, told back from its pod template. Pure.

The inverse of ``manifests``: what midstage put comes back as it was, with seconds as Kubernetes
counts them (whole ones) and all checks sharing the time that they have together. What somebody
else put there beside is not told here, but as drift.
"""

from collections.abc import Iterator

from midstage.cluster.kubernetes import names, shapes_workload
from midstage.cluster.kubernetes.quantities import asked_for
from midstage.cluster.objects import Template
from midstage.contracts.apps import Probe, Toleration
from midstage.contracts.running import Check, Source, Spread, Volume

_SCRIPTS_FROM = 4
"""A check's command is: the shell, ``-c``, the loop over the checks, its name, and the checks."""
_NOTHING = shapes_workload.Container()


def template_of(pod: shapes_workload.PodTemplate) -> Template:
    """The template; of a pod with several containers the one that serves."""
    spec, main = pod.spec, _main(pod.spec)
    return Template(
        image=None if main.image == names.PROCESS_IMAGE and main.command else main.image or None,
        command=main.command or (),
        args=main.args or (),
        env={each.name: each.value for each in _env(main) if each.value_from is None},
        env_from=dict(_sources(main)),
        volumes=tuple(_volumes(spec, main)),
        pull_secrets=tuple(each.name for each in spec.image_pull_secrets or ()),
        requests=asked_for(main.resources.requests),
        readiness=_probe(main.readiness_probe) or Probe(),
        liveness=_probe(main.liveness_probe),
        checks=tuple(_checks(main.startup_probe)),
        node_selector=spec.node_selector or {},
        tolerations=tuple(_toleration(each) for each in spec.tolerations or ()),
        spread=tuple(_spread(each) for each in spec.topology_spread_constraints or ()),
        priority=spec.priority_class_name or None,
        grace_s=float(spec.termination_grace_period_seconds),
    )


def _main(spec: shapes_workload.TemplateSpec) -> shapes_workload.Container:
    named = (each for each in spec.containers if each.name == names.CONTAINER)
    return next(named, spec.containers[0] if spec.containers else _NOTHING)


def _env(main: shapes_workload.Container) -> Iterator[shapes_workload.EnvVar]:
    return (each for each in main.env or () if each.name != "PORT")


def _sources(main: shapes_workload.Container) -> Iterator[tuple[str, Source]]:
    for each in _env(main):
        if each.value_from is None:
            continue
        if secret := each.value_from.secret_key_ref:
            yield each.name, Source(secret=secret.name, key=secret.key)
        elif config := each.value_from.config_map_key_ref:
            yield each.name, Source(config=config.name, key=config.key)


def _volumes(
    spec: shapes_workload.TemplateSpec, main: shapes_workload.Container
) -> Iterator[Volume]:
    named = {each.name: each for each in spec.volumes or ()}
    for mount in main.volume_mounts or ():
        if (volume := named.get(mount.name)) is None:
            continue
        claim = volume.persistent_volume_claim
        yield Volume(
            path=mount.mount_path,
            secret=volume.secret.secret_name if volume.secret else None,
            config=volume.config_map.name if volume.config_map else None,
            claim=claim.claim_name if claim else None,
            scratch_mb=_scratch_mb(volume.empty_dir) if volume.empty_dir else None,
            read_only=mount.read_only,
        )


def _scratch_mb(scratch: shapes_workload.ScratchVolume) -> int | None:
    return asked_for({"memory": scratch.size_limit}).memory_mb if scratch.size_limit else None


def _probe(probe: shapes_workload.Probe | None) -> Probe | None:
    if probe is None or probe.http_get is None:
        return None
    return Probe(
        path=probe.http_get.path,
        every_s=float(probe.period_seconds),
        timeout_s=float(probe.timeout_seconds),
        failures=probe.failure_threshold,
        initial_delay_s=float(probe.initial_delay_seconds),
    )


def _checks(probe: shapes_workload.Probe | None) -> Iterator[Check]:
    """Together they have the time of the one probe: each has its share of it."""
    command = (probe.exec_.command if probe and probe.exec_ else None) or ()
    told = command[_SCRIPTS_FROM:]
    pairs = list(zip(told[::2], told[1::2], strict=False))
    if probe is None:
        return
    for name, script in pairs:
        yield Check(
            name=name,
            script=script,
            timeout_s=probe.timeout_seconds / len(pairs),
            within_s=float(probe.failure_threshold * probe.period_seconds),
        )


def _toleration(toleration: shapes_workload.Toleration) -> Toleration:
    exists = toleration.operator == "Exists"
    return Toleration(key=toleration.key, value=None if exists else toleration.value)


def _spread(spread: shapes_workload.Spread) -> Spread:
    return Spread(
        over=spread.topology_key,
        max_skew=spread.max_skew,
        required=spread.when_unsatisfiable == "DoNotSchedule",
    )
