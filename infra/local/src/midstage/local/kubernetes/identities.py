"""Who may call the API server of this machine: static tokens, and a kubeconfig for each of them.

``admin`` may do everything. The controller manager, the scheduler and the process kubelet have
the groups or roles that Kubernetes itself gives to theirs. A token stays the same from run to run.
"""

import os
import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from midstage.local.kubernetes.certificates import Keys

ADMIN = "admin"
CONTROLLERS = "controllers"
SCHEDULER = "scheduler"
_TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user as the API server sees it."""

    user: str
    groups: Sequence[str] = ()


IDENTITIES: Mapping[str, Identity] = {
    ADMIN: Identity(user="midstage-admin", groups=("system:masters",)),
    CONTROLLERS: Identity(user="system:kube-controller-manager"),
    SCHEDULER: Identity(user="system:kube-scheduler"),
}


def tokens(file: Path) -> Mapping[str, str]:
    """The token of each identity: those in the API server's token file, made where missing."""
    if file.exists():
        rows = (line.split(",") for line in file.read_text().splitlines())
        return {row[2]: row[0] for row in rows}
    made = {name: secrets.token_hex(_TOKEN_BYTES) for name in IDENTITIES}
    rows_made = [
        f'{token},{IDENTITIES[name].user},{name},"{",".join(IDENTITIES[name].groups)}"\n'
        for name, token in made.items()
    ]
    write_secret(file, "".join(rows_made).encode())
    return made


def write_kubeconfig(
    file: Path, *, url: str, keys: Keys, token: str, user: str, namespace: str = "default"
) -> None:
    """A file that ``kubectl`` and every client library read, complete in itself (mode 0600)."""
    authority = b64encode(keys.certificate("ca").read_bytes()).decode()
    write_secret(
        file,
        msgspec.json.encode(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "midstage",
                "clusters": [
                    {
                        "name": "midstage",
                        "cluster": {"server": url, "certificate-authority-data": authority},
                    }
                ],
                "users": [{"name": user, "user": {"token": token}}],
                "contexts": [
                    {
                        "name": "midstage",
                        "context": {"cluster": "midstage", "user": user, "namespace": namespace},
                    }
                ],
            }
        ),
    )


def write_secret(file: Path, content: bytes) -> None:
    """Replace a file whole; nobody but its owner can ever read it."""
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
    draft.replace(file)
