"""A process that closes a month on a real Kafka, killed with -9 on the way, and run again."""

import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from midstage.contracts.billing import PeriodClosed, StatementPiece
from midstage.contracts.topics import BILLING
from midstage.eventlog.appended import Facts, opened
from midstage.testkit.kill import ordered
from tests.kafka import kafka_log

from .conftest import records
from .periods import NOVEMBER, Bills, Shard, beaten
from .test_periods import SOURCE, used

pytestmark = [pytest.mark.platform, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PLACES = (
    *("archive:renamed", "archive:leaving", "seal:sealing", "seal:sealed"),
    *("closing:sealed", "append:sent", "closing:piece", "closing:appended"),
)


@dataclass(frozen=True)
class Closer:
    """Runs the program on one ledger and one topic."""

    directory: Path
    kafka: str
    topic: str

    def run(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [
                *(sys.executable, "-m", "midstage.testkit.kill"),
                *("--order", str(self.directory / "order"), "tests.stats.closer"),
            ],
            env={
                **os.environ,
                "CLOSER_DIRECTORY": str(self.directory),
                "CLOSER_KAFKA": self.kafka,
                "CLOSER_TOPIC": self.topic,
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )


def test_killed_at_each_place_in_turn_it_is_closed_once_and_made_again_from_rows(
    tmp_path: Path, kafka: str
) -> None:
    shard = Shard(directory=tmp_path)
    times = [NOVEMBER.since + n * timedelta(hours=29) for n in range(20)]
    shard.count(*(used(n, at) for n, at in enumerate(times, 1)))
    shard.count(said=(beaten(SOURCE, 20, shard.at),))
    shard.ledger.close()
    log = kafka_log(kafka)
    topic = f"test.billing-{uuid.uuid4().hex[:8]}.v1"
    Bills(log=log, topic=topic)
    closer = Closer(directory=tmp_path, kafka=kafka, topic=topic)
    for place in PLACES:
        ordered(tmp_path / "order", place)
        died = closer.run()
        assert died.returncode == -9, f"{place}: {died.stderr}"
    ended = closer.run()
    assert ended.returncode == 0, ended.stderr
    sha256, row, _ = ended.stdout.split()
    assert row == "20"
    billing = replace(BILLING, name=topic)
    read, decoded = opened(billing), Facts[PeriodClosed | StatementPiece](billing)
    facts = [fact for one in records(log, topic) for fact in decoded(read(one).data.facts)]
    assert [fact.sha256 for fact in facts if isinstance(fact, PeriodClosed)] == [sha256]
