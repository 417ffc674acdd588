"""The secrets of one platform, made at random at its first start, each in a file of mode 0600."""

import json
import os
import secrets
from pathlib import Path

from midstage.chassis.settings import ensure_secret
from midstage.local.layout import Layout
from midstage.local.replay import customers

_EDGE_KEY_BYTES = 32


def ensure(layout: Layout, *, edge: str) -> str:
    """Make the files that are missing; the bearer token."""
    customers.write_keys(layout.api_keys)
    _ensure_edge_key(layout.edge_keys, edge)
    return ensure_secret(layout.token)


def _ensure_edge_key(file: Path, edge: str) -> None:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="ascii") as out:
        json.dump({edge: secrets.token_hex(_EDGE_KEY_BYTES)}, out)
