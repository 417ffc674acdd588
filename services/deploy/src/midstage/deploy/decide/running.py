"""What a spec must not say of what its replicas run with: references, volumes, checks, places.

Kubernetes would refuse most of it later, or take it and never start a replica. Each objection is a
sentence that begins with the path of the field.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from midstage.contracts.apps import AppSpec
from midstage.contracts.running import Check, Need, Source, Volume
from midstage.deploy.model import POOL_LABEL

NEED_LABELS: Mapping[Need, str] = {
    Need.BIG_CORES: "midstage.dev/big-cores",
    Need.SPOT: "midstage.dev/spot",
}
NEEDED = "true"
"""The value of these node labels where a node has what is needed."""

LARGEST_SCRIPTS = 100_000
"""All scripts run as one argument of a shell, and Linux takes 128 KiB in one."""

_DNS = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ENV = re.compile(r"[!-<>-~]+")
_OF_THE_SYSTEM = ("/proc", "/sys", "/dev")
_PORT = "PORT"


def objections(spec: AppSpec) -> Iterator[str]:
    """A sentence for each."""
    for part in (_program, _environment, _volumes, _secrets, _checks, _places):
        yield from part(spec)


def _program(spec: AppSpec) -> Iterator[str]:
    if spec.image is not None and re.search(r"\s", spec.image):
        yield f"image: {spec.image!r} has a space in it"
    for field, words in (("command", spec.command), ("args", spec.args)):
        for number, word in enumerate(words):
            if "\0" in word:
                yield f"{field}[{number}]: has a NUL, which ends a word"


def _environment(spec: AppSpec) -> Iterator[str]:
    for field, names in (("env", spec.env), ("env_from", spec.env_from)):
        if _PORT in names:
            yield f"{field}.{_PORT}: the platform chooses the port; leave it out and serve on it"
    for name, value in spec.env.items():
        if not _ENV.fullmatch(name):
            yield f"env.{name}: {name!r} can't be the name of a variable"
        if "\0" in value:
            yield f"env.{name}: has a NUL, which ends a value"
    for name, source in spec.env_from.items():
        if name in spec.env:
            yield f"env_from.{name}: env has {name} too; say it once"
        yield from _source(source, f"env_from.{name}")


def _source(source: Source, path: str) -> Iterator[str]:
    yield from _one_of({"secret": source.secret, "config": source.config}, path)
    if not _KEY.fullmatch(source.key) or source.key in (".", ".."):
        yield f"{path}.key: {source.key!r} is no key; it has letters, digits, -, _ and ."


def _volumes(spec: AppSpec) -> Iterator[str]:
    for number, volume in enumerate(spec.volumes):
        path = f"volumes[{number}]"
        named = {"secret": volume.secret, "config": volume.config, "claim": volume.claim}
        yield from _one_of(named, path, scratch_mb=volume.scratch_mb)
        yield from _mounted(volume, f"{path}.path")
        if volume.scratch_mb is not None and volume.read_only:
            yield f"{path}.read_only: scratch that can't be written stays empty; leave it out"
    yield from _twice([each.path for each in spec.volumes], "volumes[{}].path")


def _mounted(volume: Volume, path: str) -> Iterator[str]:
    parts = volume.path.split("/")[1:]
    if not all(parts) or "." in parts or ".." in parts:
        yield f"{path}: {volume.path!r} is no plain path; write it without //, . and .."
    elif ":" in volume.path or not volume.path.isprintable():
        yield f"{path}: {volume.path!r} has a sign that no mount takes"
    elif f"/{parts[0]}" in _OF_THE_SYSTEM and volume.path != "/dev/shm":
        yield f"{path}: {volume.path!r} is the system's own; mount it elsewhere"


def _one_of(named: Mapping[str, str | None], path: str, **others: object) -> Iterator[str]:
    """Exactly one is given, and what it names can be there."""
    given = [name for name, value in {**named, **others}.items() if value is not None]
    choice = f"{', '.join([*named, *others][:-1])} and {[*named, *others][-1]}"
    if not given:
        yield f"{path}: give exactly one of {choice}, none is there"
    elif len(given) > 1:
        yield f"{path}.{given[1]}: give exactly one of {choice}, {given[0]} is there too"
    for name, value in named.items():
        if value is not None:
            yield from _dns(value, f"{path}.{name}")


def _dns(name: str, path: str) -> Iterator[str]:
    if not _DNS.fullmatch(name) or ".." in name:
        yield f"{path}: {name!r} is no name in a cluster; it has small letters, digits, - and ."


def _secrets(spec: AppSpec) -> Iterator[str]:
    for number, name in enumerate(spec.pull_secrets):
        yield from _dns(name, f"pull_secrets[{number}]")
    yield from _twice(spec.pull_secrets, "pull_secrets[{}]")
    if spec.priority is not None:
        yield from _dns(spec.priority, "priority")


def _checks(spec: AppSpec) -> Iterator[str]:
    yield from _twice([each.name for each in spec.checks], "checks[{}].name")
    if sum(len(each.script.encode()) for each in spec.checks) > LARGEST_SCRIPTS:
        yield f"checks: the scripts have more than {LARGEST_SCRIPTS} bytes together"
    for number, check in enumerate(spec.checks):
        yield from _check(check, f"checks[{number}]", spec.rollout.progress_within_s)


def _check(check: Check, path: str, progress_within_s: float) -> Iterator[str]:
    if "\0" in check.script:
        yield f"{path}.script: has a NUL, which no shell reads"
    if check.timeout_s > check.within_s:
        yield f"{path}.timeout_s: {check.timeout_s:g} is more than its within_s {check.within_s:g}"
    if check.within_s > progress_within_s:
        yield (
            f"{path}.within_s: {check.within_s:g} is more than rollout.progress_within_s "
            f"{progress_within_s:g}, so the rollout would fail before the check may"
        )


def _places(spec: AppSpec) -> Iterator[str]:
    yield from _twice(spec.needs, "needs[{}]")
    for number, need in enumerate(spec.needs):
        said = spec.node_selector.get(NEED_LABELS[need], NEEDED)
        if said != NEEDED:
            yield f"needs[{number}]: node_selector says {NEED_LABELS[need]}={said}, which is none"
    labelled = spec.node_selector.get(POOL_LABEL)
    if spec.pool is not None and labelled not in (None, spec.pool):
        yield f"node_selector.{POOL_LABEL}: {labelled!r} contradicts pool {spec.pool!r}"
    if spec.pool is not None:
        yield from _value(spec.pool, "pool")
    for key, value in spec.node_selector.items():
        yield from _label(key, f"node_selector.{key}")
        yield from _value(value, f"node_selector.{key}")
    for number, toleration in enumerate(spec.tolerations):
        yield from _label(toleration.key, f"tolerations[{number}].key")
        yield from _value(toleration.value or "", f"tolerations[{number}].value")
    yield from _twice([(each.key, each.value) for each in spec.tolerations], "tolerations[{}]")
    for number, spread in enumerate(spec.spread):
        yield from _label(spread.over, f"spread[{number}].over")
    yield from _twice([each.over for each in spec.spread], "spread[{}].over")


def _label(key: str, path: str) -> Iterator[str]:
    prefix, slash, name = key.rpartition("/")
    if not _LABEL.fullmatch(name) or (slash and not _DNS.fullmatch(prefix)):
        yield f"{path}: {key!r} is no label; labels are like zone or example.com/zone"


def _value(value: str, path: str) -> Iterator[str]:
    if value and not _LABEL.fullmatch(value):
        yield f"{path}: {value!r} is no value of a label; 63 letters, digits, -, _ and . at most"


def _twice(values: Sequence[object], path: str) -> Iterator[str]:
    """A sentence for each that was there before."""
    for number, value in enumerate(values):
        if value in values[:number]:
            told = value[0] if isinstance(value, tuple) else value
            yield f"{path.format(number)}: {str(told)!r} is there twice"
