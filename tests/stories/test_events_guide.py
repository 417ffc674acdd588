"""The guide "sending events" works as it is typed."""

import os
import re
from pathlib import Path

import pytest

from midstage.local.platform import Platform
from tests.guides import ROOT, said, typed

pytestmark = [pytest.mark.platform, pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_guide_works_as_it_is_typed(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / ".midstage").symlink_to(platform.layout.root)
    env = {name: value for name, value in os.environ.items() if name != "MIDSTAGE_DIR"}
    told = said(f"set -eux\n{typed('events')}", at=tmp_path, env=env)
    assert re.search(r"(?m)^204$", told)
    assert "2 of 2 events acknowledged" in told
    assert re.search(r"(?m)^Kafka has it$", told)
    assert re.search(r"(?m)^acme +whisper +1 ", told)
