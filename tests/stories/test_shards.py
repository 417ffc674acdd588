"""Three shards of stats count one replay: callers and ledgers agree, asked at any of them."""

from pathlib import Path

import pytest

from midstage.local.platform import Platform
from tests import patient

from .evidence import assert_exact
from .mortal import SPEED

pytestmark = [pytest.mark.platform, pytest.mark.slow]


def test_callers_and_the_ledgers_of_three_shards_agree(tmp_path: Path) -> None:
    with Platform(tmp_path, speed=SPEED, shards=3) as running:
        report = running.replay(requests=60)
        assert_exact(report)
        assert len(running.addresses.stats_shards) == 3
        known = {"authorization": f"Bearer {running.token}"}
        for url in running.addresses.stats_shards:
            status = patient.get(f"{url}/v1/status", headers=known).raise_for_status().json()
            assert status["rows"] == 60
            assert [shard["problem"] for shard in status["shards"]] == [None, None, None]
            assert sum(shard["rows"] for shard in status["shards"]) == 60
            asked = f"{url}/v1/availability?app=chat"
            (chat,) = patient.get(asked, headers=known).json()["availability"]
            assert chat["valid"] <= 60
            counted = patient.post(f"{url}/v1/recount/whole", headers=known).json()
            assert (counted["rows"], counted["differences"]) == (60, 0)
