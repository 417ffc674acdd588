"""Guides run as they are typed."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from midstage.local.platform import Platform

ROOT = Path(__file__).parents[1]


def typed(guide: str) -> str:
    """What a reader of ``docs/guides/<guide>.md`` types, all blocks one after the other."""
    text = (ROOT / "docs" / "guides" / f"{guide}.md").read_text()
    return "\n".join(re.findall(r"(?s)```sh\n(.*?)```", text))


def said_on(platform: Platform, guide: str, *, at: Path) -> str:
    """What bash says of the guide, typed in the empty folder ``at`` where ``platform`` runs."""
    (at / ".venv").symlink_to(ROOT / ".venv")
    (at / ".midstage").symlink_to(platform.layout.root)
    env = {name: value for name, value in os.environ.items() if name != "MIDSTAGE_DIR"}
    return said(f"set -eux\n{typed(guide)}", at=at, env=env)


def said(script: str, *, at: Path, env: Mapping[str, str]) -> str:
    """What bash says of it, on both channels; AssertionError with the end where it fails."""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=at,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout
