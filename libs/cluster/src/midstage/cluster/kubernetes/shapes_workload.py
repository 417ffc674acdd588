"""The fields of a Deployment that are read, down to its pods' template; see ``shapes``."""

import msgspec

from midstage.cluster.kubernetes.shapes import (
    Condition,
    Meta,
    OwnedMeta,
    Port,
    Resources,
    Shape,
    Strings,
)


class KeyOf(Shape, frozen=True, kw_only=True):
    """A key of a named secret or config."""

    name: str = ""
    key: str = ""


class ValueFrom(Shape, frozen=True, kw_only=True):
    """Where the value of a variable stands."""

    secret_key_ref: KeyOf | None = None
    config_map_key_ref: KeyOf | None = None


class EnvVar(Shape, frozen=True, kw_only=True):
    """One variable of the environment."""

    name: str
    value: str = ""
    value_from: ValueFrom | None = None


class HttpGet(Shape, frozen=True, kw_only=True):
    """What a probe asks for."""

    path: str = "/"


class Exec(Shape, frozen=True, kw_only=True):
    """What a probe runs."""

    command: tuple[str, ...] | None = None


class Probe(Shape, frozen=True, kw_only=True):
    """A probe; the defaults are those of the API."""

    http_get: HttpGet | None = None
    exec_: Exec | None = msgspec.field(name="exec", default=None)
    period_seconds: int = 10
    timeout_seconds: int = 1
    failure_threshold: int = 3
    initial_delay_seconds: int = 0


class Mount(Shape, frozen=True, kw_only=True):
    """Where a container finds a volume."""

    name: str
    mount_path: str
    read_only: bool = False


class Container(Shape, frozen=True, kw_only=True):
    """A container of a template."""

    name: str = ""
    image: str = ""
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    env: tuple[EnvVar, ...] | None = None
    ports: tuple[Port, ...] | None = None
    resources: Resources = Resources()
    volume_mounts: tuple[Mount, ...] | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None


class SecretVolume(Shape, frozen=True, kw_only=True):
    """A secret as files."""

    secret_name: str = ""


class ConfigVolume(Shape, frozen=True, kw_only=True):
    """A config as files."""

    name: str = ""


class ClaimVolume(Shape, frozen=True, kw_only=True):
    """A claim's storage."""

    claim_name: str = ""


class ScratchVolume(Shape, frozen=True, kw_only=True):
    """Space that is gone with the pod."""

    size_limit: str | None = None


class Volume(Shape, frozen=True, kw_only=True):
    """A volume of a template."""

    name: str
    secret: SecretVolume | None = None
    config_map: ConfigVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None
    empty_dir: ScratchVolume | None = None


class Toleration(Shape, frozen=True, kw_only=True):
    """A taint that does not matter."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class Spread(Shape, frozen=True, kw_only=True):
    """How pods are spread."""

    topology_key: str = ""
    max_skew: int = 1
    when_unsatisfiable: str = ""


class Named(Shape, frozen=True, kw_only=True):
    """A reference by name."""

    name: str = ""


class TemplateSpec(Shape, frozen=True, kw_only=True):
    """The pod spec of a template."""

    containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] | None = None
    image_pull_secrets: tuple[Named, ...] | None = None
    node_selector: Strings | None = None
    tolerations: tuple[Toleration, ...] | None = None
    topology_spread_constraints: tuple[Spread, ...] | None = None
    priority_class_name: str = ""
    termination_grace_period_seconds: int = 30


class PodTemplate(Shape, frozen=True, kw_only=True):
    """What pods are made from."""

    metadata: Meta = Meta()
    spec: TemplateSpec = TemplateSpec()


class Selector(Shape, frozen=True, kw_only=True):
    """Which pods are its own; more expressions may narrow them further."""

    match_labels: Strings | None = None


class DeploymentSpec(Shape, frozen=True, kw_only=True):
    """What is read of a Deployment's spec."""

    replicas: int = 1
    selector: Selector = Selector()
    template: PodTemplate = PodTemplate()


class DeploymentStatus(Shape, frozen=True, kw_only=True):
    """How a Deployment fares."""

    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    observed_generation: int = 0
    conditions: tuple[Condition, ...] | None = None


class Deployment(Shape, frozen=True, kw_only=True):
    """A Deployment."""

    metadata: OwnedMeta
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()
