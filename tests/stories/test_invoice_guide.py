"""The guide "from event to invoice" works as it is typed."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from midstage.local.platform import Platform

pytestmark = [pytest.mark.platform, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "from-event-to-invoice.md"


def typed() -> str:
    """What a reader types."""
    return "\n".join(re.findall(r"(?s)```sh\n(.*?)```", GUIDE.read_text()))


def test_the_guide_works_as_it_is_typed(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / ".midstage").symlink_to(platform.layout.root)
    said = subprocess.run(
        ["bash", "-c", f"set -eux\n{typed()}"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "MIDSTAGE_DIR"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert said.returncode == 0, said.stdout[-6000:]
    assert re.search(r"2026-02-01T00:00:00\+01:00 +embedder +search +40000 +1834.25", said.stdout)
    assert re.search(r"period 2026-01 closed; its statement has SHA-256 \w{64}", said.stdout)
    assert "the same bytes" in said.stdout
    (told,) = set(re.findall(r"SHA-256 (\w{64})", said.stdout))
    assert f"{told}  statement.json" in said.stdout
