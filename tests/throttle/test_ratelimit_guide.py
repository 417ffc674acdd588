"""The guide "from envoyproxy/ratelimit" works as it is typed."""

import os
import re
from pathlib import Path

import pytest

from tests.guides import ROOT, said, typed
from tests.ports import free_port

pytestmark = [pytest.mark.platform, pytest.mark.slow]

PORTS = ("8080", "8081")
BEFORE = "set -eu; trap 'kill $(jobs -p) 2> /dev/null || true' EXIT"


def test_the_guide_works_as_it_is_typed(kafka: str, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    script = typed("from-envoy-ratelimit")
    for known in PORTS:
        script = re.sub(rf"\b{known}\b", str(free_port()), script)
    told = said(f"{BEFORE}\n{script}", at=tmp_path, env={**os.environ, "KAFKA": kafka})
    codes = re.findall(r'^(\d+) \{"overallCode"', told, re.MULTILINE)
    assert codes == ["200", "200", "429", "200", "429"]
    assert '"requestsPerUnit": 1000' in told
    assert 'midstage_throttle_rule_over_limit_total{domain="shop",key="customer"} 1.0' in told
    (refused,) = re.findall(r"^.*rules_refused.*$", told, re.MULTILINE)
    assert '"file":"shop.yaml"' in refused
    assert '"path":"descriptors[0].rate_limit"' in refused
    assert "midstage_throttle_rules_stale 0.0" in told
