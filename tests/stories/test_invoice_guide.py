"""The guide "from event to invoice" works as it is typed."""

import re
from pathlib import Path

import pytest

from midstage.local.platform import Platform
from tests.guides import said_on

pytestmark = [pytest.mark.platform, pytest.mark.slow]


def test_the_guide_works_as_it_is_typed(platform: Platform, tmp_path: Path) -> None:
    told = said_on(platform, "from-event-to-invoice", at=tmp_path)
    assert re.search(r"2026-02-01T00:00:00\+01:00 +embedder +search +40000 +1834.25", told)
    assert re.search(r"period 2026-01 closed; its statement has SHA-256 \w{64}", told)
    assert "the same bytes" in told
    (sha256,) = set(re.findall(r"SHA-256 (\w{64})", told))
    assert f"{sha256}  statement.json" in told
