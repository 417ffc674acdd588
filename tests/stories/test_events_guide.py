"""The guide "sending events" works as it is typed."""

import re
from pathlib import Path

import pytest

from midstage.local.platform import Platform
from tests.guides import said_on

pytestmark = [pytest.mark.platform, pytest.mark.slow]


def test_the_guide_works_as_it_is_typed(platform: Platform, tmp_path: Path) -> None:
    told = said_on(platform, "events", at=tmp_path)
    assert re.search(r"(?m)^204$", told)
    assert "2 of 2 events acknowledged" in told
    assert re.search(r"(?m)^Kafka has it$", told)
    assert re.search(r"(?m)^acme +whisper +1 ", told)
    assert re.search(r"(?m)not an event of midstage\.requests\.v1.* jobs/embedder ", told)
    assert told.count("1 of 1 events acknowledged") == 2
    assert re.search(r"(?m)^acme +embedder +5434\.75$", told)
