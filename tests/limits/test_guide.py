"""The guide "limits in a Python service" works as it is typed."""

import json
import os
from pathlib import Path

import pytest

from midstage.contracts import topics
from tests.guides import ROOT, said, typed
from tests.throttle.conftest import memory, running

pytestmark = [pytest.mark.slow]


def test_the_guide_works_as_it_is_typed(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    env = {name: value for name, value in os.environ.items() if name != "MIDSTAGE_DIR"}
    with running(memory(), topics.LIMITS, tmp_path) as throttle:
        there = dict.fromkeys(("kafka", "stats", "gateway", "deploy", "control", "hpa", "data"), "")
        there |= {"throttle": str(throttle.http.base_url), "token_file": str(tmp_path / "token")}
        (tmp_path / ".midstage").mkdir()
        (tmp_path / ".midstage" / "platform.json").write_text(json.dumps(there))
        told = said(f"set -eu\n{typed('limits-in-python')}", at=tmp_path, env=env)

    for page in range(3):
        assert f"page {page} is read" in told
    assert "a third at once: ('acme-at-once',)" in told
    assert "the key's first page is read" in told
    assert "the key's second page: ('acme-ci',)" in told
