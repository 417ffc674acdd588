"""The volumes of a pod as folders of this machine.

Without containers nothing can be mounted where a spec says: below the folder that the pod finds in
MIDSTAGE_MOUNTS each mount path leads to its volume (``$MIDSTAGE_MOUNTS/etc/model`` for
``/etc/model``). Secrets and config maps are as they were when the process was started; tokens are
put in the old ones' place while it runs.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from midstage.local.kubelet.programs import ConfigError, Contents, container_of, field_of
from midstage.local.kubelet.shapes import KeyPath, Pod, Source, Volume
from midstage.local.kubelet.tokens import Token, Tokens

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600


ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a pod's program looks for the token of its service account."""


def laid_out(folder: Path, pod: Pod, contents: Contents, *, pod_ip: str) -> Path:
    """Make the volumes in ``folder``; the folder of the mounts. ConfigError, OSError."""
    mounts = folder / "mounts"
    shutil.rmtree(mounts, ignore_errors=True)
    mounts.mkdir(mode=_FOLDER_MODE, parents=True)
    made = {
        each.name: _made(
            folder / "volumes" / each.name, each, contents, lambda path: field_of(pod, path, pod_ip)
        )
        for each in pod.spec.volumes
    }
    for mount in container_of(pod).volume_mounts:
        if mount.name not in made:
            raise ConfigError(f"there is no volume {mount.name}")
        place = mounts / _inside(mount.mount_path)
        place.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        target = made[mount.name] / _inside(mount.sub_path)
        if mount.sub_path and not target.exists():
            target.mkdir(mode=_FOLDER_MODE, parents=True)
        if place.exists():
            raise ConfigError(f"{mount.mount_path} is mounted inside of another mount")
        place.symlink_to(target)
    return mounts


def renewed(folder: Path, pod: Pod, tokens: Tokens) -> None:
    """Put these tokens in place of those that are laid out in ``folder``; OSError.

    Whoever reads one of the files has the old token or the new one, never a part.
    """
    for volume in pod.spec.volumes:
        sources = volume.projected.sources if volume.projected is not None else ()
        for source in (each.service_account_token for each in sources):
            if source is not None:
                _replaced(folder / "volumes" / volume.name / _inside(source.path), tokens[source])


def account(mounts: Path) -> Path | None:
    """Where the token of the pod's service account is; None where it has none."""
    folder = mounts / _inside(ACCOUNT)
    return folder if folder.exists() else None


def _made(folder: Path, volume: Volume, contents: Contents, field: Callable[[str], str]) -> Path:
    if volume.secret is not None:
        source = volume.secret
        keys = _keys("secret", source.secret_name, contents.secrets, optional=source.optional)
        _write(folder, _chosen(keys, source.items))
    elif volume.config_map is not None:
        config = volume.config_map
        keys = _keys("configmap", config.name, contents.configs, optional=config.optional)
        _write(folder, _chosen(keys, config.items))
    elif volume.projected is not None:
        files = [_projected(each, contents, field) for each in volume.projected.sources]
        _write(folder, {path: content for each in files for path, content in each.items()})
    elif volume.empty_dir is None:
        raise ConfigError(f"the process kubelet does not know the kind of volume {volume.name}")
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    return folder


def _projected(
    source: Source, contents: Contents, field: Callable[[str], str]
) -> Mapping[str, bytes]:
    if (token := source.service_account_token) is not None:
        return {token.path: contents.tokens[token].text}
    if (config := source.config_map) is not None:
        keys = _keys("configmap", config.name, contents.configs, optional=config.optional)
        return _chosen(keys, config.items)
    if (secret := source.secret) is not None:
        keys = _keys("secret", secret.name, contents.secrets, optional=secret.optional)
        return _chosen(keys, secret.items)
    if (fields := source.downward_api) is not None:
        found = ((each.path, each.field_ref) for each in fields.items)
        return {path: field(ref.field_path).encode() for path, ref in found if ref is not None}
    raise ConfigError("the process kubelet does not know a source of a projected volume")


def _keys(
    kind: str, name: str, among: Mapping[str, Mapping[str, bytes]], *, optional: bool
) -> Mapping[str, bytes]:
    if name not in among and not optional:
        raise ConfigError(f'{kind} "{name}" not found')
    return among.get(name, {})


def _chosen(keys: Mapping[str, bytes], items: Sequence[KeyPath]) -> Mapping[str, bytes]:
    if not items:
        return keys
    missing = [each.key for each in items if each.key not in keys]
    if missing:
        raise ConfigError(f"references non-existent key: {missing[0]}")
    return {each.path: keys[each.key] for each in items}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        file = folder / _inside(name)
        file.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        file.touch(mode=_FILE_MODE)
        file.write_bytes(content)


def _replaced(file: Path, token: Token) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.touch(mode=_FILE_MODE)
    beside.write_bytes(token.text)
    beside.replace(file)


def _inside(path: str) -> PurePosixPath:
    """``path`` without its root; ConfigError where it would lead out."""
    parts = [each for each in PurePosixPath(path).parts if each != "/"]
    if ".." in parts:
        raise ConfigError(f"the path {path} leads out of the pod")
    return PurePosixPath(*parts)
