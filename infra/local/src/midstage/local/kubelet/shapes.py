"""What the kubelet reads of Kubernetes' objects; unknown fields are ignored.

Names and meanings are those of the API (core/v1), in snake case.
"""

from datetime import datetime

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of all shapes."""


class Meta(Shape, frozen=True, kw_only=True):
    """Who an object is."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = "0"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None

    @property
    def version(self) -> int:
        """The resource version as the number that it is."""
        return int(self.resource_version)


class FieldRef(Shape, frozen=True, kw_only=True):
    """A field of the pod itself."""

    field_path: str


class KeyRef(Shape, frozen=True, kw_only=True):
    """One key of a secret or a config map."""

    name: str = ""
    key: str
    optional: bool = False


class ValueFrom(Shape, frozen=True, kw_only=True):
    """Where a variable's value stands; one of them, ``resource_field_ref`` is not known here."""

    field_ref: FieldRef | None = None
    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None


class EnvVar(Shape, frozen=True, kw_only=True):
    """One variable."""

    name: str
    value: str = ""
    value_from: ValueFrom | None = None


class WholeRef(Shape, frozen=True, kw_only=True):
    """A secret or a config map."""

    name: str = ""
    optional: bool = False


class EnvFrom(Shape, frozen=True, kw_only=True):
    """All keys of one object as variables."""

    prefix: str = ""
    secret_ref: WholeRef | None = None
    config_map_ref: WholeRef | None = None


class HttpGet(Shape, frozen=True, kw_only=True):
    """A GET; the port is always the pod's one."""

    path: str = "/"


class Exec(Shape, frozen=True, kw_only=True):
    """A command beside the container's."""

    command: tuple[str, ...] = ()


class TcpSocket(Shape, frozen=True, kw_only=True):
    """Somebody listens."""


class Sleep(Shape, frozen=True, kw_only=True):
    """Nothing, for a while."""

    seconds: int = 0


class Probe(Shape, frozen=True, kw_only=True):
    """A probe; none of the three: it is a kind that is not known here."""

    exec: Exec | None = None
    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    failure_threshold: int = 3


class Handler(Shape, frozen=True, kw_only=True):
    """What happens before the end."""

    exec: Exec | None = None
    http_get: HttpGet | None = None
    sleep: Sleep | None = None


class Lifecycle(Shape, frozen=True, kw_only=True):
    """Only ``pre_stop`` is known here."""

    pre_stop: Handler | None = None


class VolumeMount(Shape, frozen=True, kw_only=True):
    """Where a volume is to be found."""

    name: str
    mount_path: str
    sub_path: str = ""


class Resources(Shape, frozen=True, kw_only=True):
    """What it asks for, as quantities; numbers of them are ours to read."""

    requests: dict[str, str] = {}


class Container(Shape, frozen=True, kw_only=True):
    """What runs."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    resources: Resources = Resources()
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_policy: str = "File"


class KeyPath(Shape, frozen=True, kw_only=True):
    """A key, and its file's path."""

    key: str
    path: str


class SecretVolume(Shape, frozen=True, kw_only=True):
    """Files of a secret's keys."""

    secret_name: str = ""
    items: tuple[KeyPath, ...] = ()
    optional: bool = False


class ConfigMapVolume(Shape, frozen=True, kw_only=True):
    """Files of a config map's keys."""

    name: str = ""
    items: tuple[KeyPath, ...] = ()
    optional: bool = False


class EmptyDir(Shape, frozen=True, kw_only=True):
    """A folder as long as the pod is there."""


class TokenSource(Shape, frozen=True, kw_only=True):
    """A token of the pod's service account, for ``audience`` (empty: the API server)."""

    path: str
    audience: str = ""
    expiration_seconds: int = 3600


class SecretSource(Shape, frozen=True, kw_only=True):
    """Files of a secret's keys, among others."""

    name: str = ""
    items: tuple[KeyPath, ...] = ()
    optional: bool = False


class FieldPath(Shape, frozen=True, kw_only=True):
    """A field of the pod, and its file's path."""

    path: str
    field_ref: FieldRef | None = None


class FieldSource(Shape, frozen=True, kw_only=True):
    """Files of fields of the pod."""

    items: tuple[FieldPath, ...] = ()


class Source(Shape, frozen=True, kw_only=True):
    """One of them; none: it is a kind that is not known here."""

    service_account_token: TokenSource | None = None
    secret: SecretSource | None = None
    config_map: ConfigMapVolume | None = None
    downward_api: FieldSource | None = msgspec.field(default=None, name="downwardAPI")


class Projected(Shape, frozen=True, kw_only=True):
    """Several sources in one folder, as that of a service account's token."""

    sources: tuple[Source, ...] = ()


class Volume(Shape, frozen=True, kw_only=True):
    """One of them; none: it is a kind that is not known here."""

    name: str
    empty_dir: EmptyDir | None = None
    secret: SecretVolume | None = None
    config_map: ConfigMapVolume | None = None
    projected: Projected | None = None


class PodSpec(Shape, frozen=True, kw_only=True):
    """What a pod is to be."""

    node_name: str = ""
    service_account_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    restart_policy: str = "Always"
    termination_grace_period_seconds: int = 30


class Condition(Shape, frozen=True, kw_only=True):
    """What holds of a pod, and since when."""

    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None


class RunningState(Shape, frozen=True, kw_only=True):
    """Its process runs."""

    started_at: datetime | None = None


class TerminatedState(Shape, frozen=True, kw_only=True):
    """Its process ended."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(Shape, frozen=True, kw_only=True):
    """What a new kubelet has to know of an old one's containers."""

    running: RunningState | None = None
    terminated: TerminatedState | None = None


class ContainerStatus(Shape, frozen=True, kw_only=True):
    """How a container fares."""

    name: str
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(Shape, frozen=True, kw_only=True):
    """What was told of a pod."""

    phase: str = "Pending"
    start_time: datetime | None = None
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Shape, frozen=True, kw_only=True):
    """A pod of the API."""

    metadata: Meta
    spec: PodSpec
    status: PodStatus = PodStatus()
