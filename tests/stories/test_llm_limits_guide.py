"""The guide "limits for an LLM service" works as it is typed."""

import re
from pathlib import Path

import pytest

from midstage.local.platform import Platform
from tests.guides import said_on

pytestmark = [pytest.mark.platform, pytest.mark.slow]


def test_the_guide_works_as_it_is_typed(platform: Platform, tmp_path: Path) -> None:
    told = said_on(platform, "limits-for-an-llm-service", at=tmp_path)
    (states,) = re.findall(r"(?i)^ratelimit: (.*)$", told, re.MULTILINE)
    assert all(f'"team-{name}";' in states for name in ("tokens", "at-once", "budget"))
    assert '"team-tokens"' in re.findall(r"(?m)^\{.*quota-exceeded.*$", told)[0]
    (seconds,) = re.findall(r"(?i)^retry-after: (\d+)", told, re.MULTILINE)
    assert 0 < int(seconds) <= 86_400
