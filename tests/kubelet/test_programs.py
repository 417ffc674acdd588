"""What a pod's container runs: command, arguments and environment as Kubernetes makes them."""

import msgspec
import pytest

from midstage.local.kubelet.programs import ConfigError, Contents, named, program
from midstage.local.kubelet.shapes import Pod
from midstage.local.pods.images import STAND_IN, UnknownImageError

CONTENTS = Contents(
    secrets={"s": {"key": b"secret", "bad name": b"x"}},
    configs={"c": {"key": b"config", "other": b"more"}},
)
OWN = {"PORT": "15000"}


def pod(container: object, **spec: object) -> Pod:
    return msgspec.convert(
        {
            "metadata": {
                "name": "p",
                "namespace": "n",
                "uid": "u",
                "labels": {"midstage.dev/app": "chat"},
                "annotations": {"a": "b"},
            },
            "spec": {"nodeName": "plain", "containers": [container], **spec},
        },
        Pod,
    )


def env(*variables: object, env_from: object = ()) -> dict[str, str]:
    container = {"name": "main", "command": ["x"], "env": variables, "envFrom": env_from}
    runs = program(pod(container), CONTENTS, OWN, pod_ip="10.244.1.1")
    return {name: value for name, value in runs.env.items() if name != "PORT"}


def secret(name: str = "s", key: str = "key", *, optional: bool = False) -> object:
    ref = {"name": name, "key": key, "optional": optional}
    return {"name": "X", "valueFrom": {"secretKeyRef": ref}}


def config(name: str = "c", key: str = "key", *, optional: bool = False) -> object:
    ref = {"name": name, "key": key, "optional": optional}
    return {"name": "X", "valueFrom": {"configMapKeyRef": ref}}


def field(path: str) -> object:
    return {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}


def test_the_port_of_this_machine_takes_the_place_of_the_containers() -> None:
    container = {
        "name": "main",
        "command": ["serve", "$(PORT)"],
        "args": ["--url=$(URL)", "$$(PORT)", "$(NOBODY)"],
        "env": [{"name": "PORT", "value": "8080"}, {"name": "URL", "value": "http://:$(PORT)"}],
    }
    runs = program(pod(container), CONTENTS, OWN, pod_ip="")
    assert runs.env["PORT"] == "15000"
    assert runs.command == ["serve", "15000", "--url=http://:15000", "$(PORT)", "$(NOBODY)"]


def test_values_come_from_secrets_and_configs() -> None:
    assert env(secret()) == {"X": "secret"}
    assert env(config()) == {"X": "config"}


def test_all_keys_of_an_object_can_be_variables_where_they_can_be_names() -> None:
    assert env(
        {"name": "A_key", "value": "mine"},
        env_from=[{"prefix": "A_", "secretRef": {"name": "s"}}, {"configMapRef": {"name": "c"}}],
    ) == {"A_key": "mine", "key": "config", "other": "more"}


@pytest.mark.parametrize(
    ("variable", "fault"),
    [
        (secret("none"), 'secret "none" not found'),
        (secret(key="none"), "couldn't find key none in secret s"),
        (config("none"), 'configmap "none" not found'),
        (config(key="none"), "couldn't find key none in configmap c"),
        (field("spec.hostname"), "does not know the field spec.hostname"),
        ({"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "x"}}}, "X: the process"),
    ],
)
def test_what_is_not_there_is_named(variable: object, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        env(variable)
    with pytest.raises(ConfigError, match='secret "none" not found'):
        env(env_from=[{"secretRef": {"name": "none"}}])


def test_what_is_optional_may_be_away() -> None:
    for each in (secret("none", optional=True), config(key="none", optional=True)):
        assert env(each) == {}
    assert env(env_from=[{"secretRef": {"name": "none", "optional": True}}]) == {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "n"),
        ("metadata.uid", "u"),
        ("metadata.labels['midstage.dev/app']", "chat"),
        ("metadata.annotations['a']", "b"),
        ("metadata.labels['none']", ""),
        ("spec.nodeName", "plain"),
        ("status.podIP", "10.244.1.1"),
    ],
)
def test_a_pod_can_be_told_of_itself(path: str, value: str) -> None:
    assert env(field(path)) == {"X": value}


def test_an_image_is_a_command_where_none_is_given() -> None:
    container = {"name": "m", "image": STAND_IN, "args": ["-v"]}
    stand_in = program(pod(container), CONTENTS, OWN, pod_ip="")
    assert list(stand_in.command)[-3:] == ["--port", "15000", "-v"]
    with pytest.raises(UnknownImageError, match="nobody/knows:1"):
        program(pod({"name": "m", "image": "nobody/knows:1"}), CONTENTS, OWN, pod_ip="")


def test_a_pod_has_one_container() -> None:
    for more in (
        pod({"name": "a"}, initContainers=[{"name": "i"}]),
        pod({"name": "a"}, containers=[{"name": "a"}, {"name": "b"}]),
    ):
        with pytest.raises(ConfigError, match="exactly one container"):
            program(more, CONTENTS, OWN, pod_ip="")


def test_all_that_a_pod_names_is_read_before() -> None:
    container = {
        "name": "main",
        "env": [secret("s1"), config("c1")],
        "envFrom": [{"secretRef": {"name": "s2"}}, {"configMapRef": {"name": "c2"}}],
    }
    volumes = [
        {"name": "v1", "secret": {"secretName": "s3"}},
        {"name": "v2", "configMap": {"name": "c3"}},
        {"name": "v3", "emptyDir": {}},
    ]
    secrets, configs = named(pod(container, volumes=volumes))
    assert (set(secrets), set(configs)) == ({"s1", "s2", "s3"}, {"c1", "c2", "c3"})
