"""What a pod's container runs, with its environment, as Kubernetes would make them. Pure.

Keys of secrets and config maps come from ``Contents``, which was read before. PORT and what else
is the pod's own can't be set by it: the port of this machine takes the place of the container's.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from midstage.local.kubelet.shapes import (
    Container,
    EnvFrom,
    EnvVar,
    KeyRef,
    Pod,
    Source,
    TokenSource,
    WholeRef,
)
from midstage.local.kubelet.tokens import Tokens
from midstage.local.pods.images import Program, command_of, expanded

_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigError(Exception):
    """The container can't be made: what its spec names is not there, or not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Contents by name, of what is there."""

    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    tokens: Tokens = field(default_factory=dict)


def container_of(pod: Pod) -> Container:
    """The pod's only container; ConfigError where it is not the only one."""
    if pod.spec.init_containers or len(pod.spec.containers) != 1:
        raise ConfigError("the process kubelet runs pods of exactly one container")
    return pod.spec.containers[0]


def named(pod: Pod) -> tuple[frozenset[str], frozenset[str]]:
    """The secrets and the config maps that the pod needs."""
    container = container_of(pod)
    froms = [each.value_from for each in container.env if each.value_from is not None]
    secrets = {each.secret_key_ref.name for each in froms if each.secret_key_ref}
    secrets |= {each.secret_ref.name for each in container.env_from if each.secret_ref}
    secrets |= {each.secret.secret_name for each in pod.spec.volumes if each.secret}
    configs = {each.config_map_key_ref.name for each in froms if each.config_map_key_ref}
    configs |= {each.config_map_ref.name for each in container.env_from if each.config_map_ref}
    configs |= {each.config_map.name for each in pod.spec.volumes if each.config_map}
    secrets |= {each.secret.name for each in projected(pod) if each.secret}
    configs |= {each.config_map.name for each in projected(pod) if each.config_map}
    return frozenset(secrets), frozenset(configs)


def projected(pod: Pod) -> Iterator[Source]:
    """All that is put together in volumes of the pod."""
    for volume in pod.spec.volumes:
        if volume.projected is not None:
            yield from volume.projected.sources


def token_sources(pod: Pod) -> Sequence[TokenSource]:
    """The tokens that the pod needs."""
    found = (each.service_account_token for each in projected(pod))
    return [each for each in found if each is not None]


def program(pod: Pod, contents: Contents, own: Mapping[str, str], *, pod_ip: str) -> Program:
    """What the pod runs; ``own`` are the variables that it can't set.

    ConfigError, and UnknownImageError for an image that is no command here.
    """
    container = container_of(pod)
    command = container.command or command_of(container.image)
    env = dict(own)
    for name, value in _whole(container.env_from, contents):
        env.setdefault(name, value)
    for each in container.env:
        said = _value(each, pod, contents, env, pod_ip)
        if each.name not in own and said is not None:
            env[each.name] = said
    return Program(command=[expanded(word, env) for word in (*command, *container.args)], env=env)


def _whole(sources: Sequence[EnvFrom], contents: Contents) -> Iterator[tuple[str, str]]:
    found: dict[str, str] = {}
    for source in sources:
        for keys in _objects(source, contents):
            for key, value in keys.items():
                if _NAME.fullmatch(name := source.prefix + key):
                    found[name] = value.decode(errors="replace")
    yield from found.items()


def _objects(source: EnvFrom, contents: Contents) -> Iterator[Mapping[str, bytes]]:
    if source.secret_ref:
        yield _object("secret", source.secret_ref, contents.secrets)
    if source.config_map_ref:
        yield _object("configmap", source.config_map_ref, contents.configs)


def _object(
    kind: str, ref: WholeRef, among: Mapping[str, Mapping[str, bytes]]
) -> Mapping[str, bytes]:
    if ref.name not in among and not ref.optional:
        raise ConfigError(f'{kind} "{ref.name}" not found')
    return among.get(ref.name, {})


def _value(
    each: EnvVar, pod: Pod, contents: Contents, env: Mapping[str, str], pod_ip: str
) -> str | None:
    if (source := each.value_from) is None:
        return expanded(each.value, env)
    if source.field_ref is not None:
        return field_of(pod, source.field_ref.field_path, pod_ip)
    if source.secret_key_ref is not None:
        return _key("secret", source.secret_key_ref, contents.secrets)
    if source.config_map_key_ref is not None:
        return _key("configmap", source.config_map_key_ref, contents.configs)
    raise ConfigError(f"{each.name}: the process kubelet does not know this kind of valueFrom")


def _key(kind: str, ref: KeyRef, among: Mapping[str, Mapping[str, bytes]]) -> str | None:
    keys = among.get(ref.name)
    if keys is None and not ref.optional:
        raise ConfigError(f'{kind} "{ref.name}" not found')
    if keys is None or ref.key not in keys:
        if ref.optional:
            return None
        raise ConfigError(f"couldn't find key {ref.key} in {kind} {ref.name}")
    return keys[ref.key].decode(errors="replace")


def field_of(pod: Pod, path: str, pod_ip: str) -> str:
    """What a field of the pod says; ConfigError where it is not known here."""
    meta = pod.metadata
    if found := _KEYED.fullmatch(path):
        return (meta.labels if found[1] == "labels" else meta.annotations).get(found[2], "")
    known = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.hostIP": "127.0.0.1",
        "status.podIP": pod_ip,
    }
    if path not in known:
        raise ConfigError(f"the process kubelet does not know the field {path}")
    return known[path]
