"""A whole hpa over a log in memory: load in, decisions out."""

from pathlib import Path

import pytest

from midstage.contracts.policy import Policy, Targets
from midstage.hpa.stream.replay import replayed
from midstage.testkit.waiting import within
from tests.hpa.conftest import Others, now, running

CONCURRENCY = Policy(min=1, max=8, targets=Targets(concurrency=2), stabilise_down_s=0, window_s=1)


@pytest.mark.slow
def test_load_rises_and_falls_and_the_count_follows(others: Others, tmp_path: Path) -> None:
    others.reach()
    others.specify("chat", CONCURRENCY, replicas=2)
    with running(others.log, others.names, tmp_path) as hpa:
        within(10, lambda: hpa.counts("chat") == [2])
        others.pods("chat", 2)
        others.load("chat", in_flight=8)
        within(10, lambda: hpa.counts("chat") == [2, 4])
        others.pods("chat", 4)
        within(10, lambda: others.load("chat", in_flight=2) or hpa.counts("chat") == [2, 4, 1])
        at = now()
        within(10, lambda: hpa.evaluated_after("chat", at))
    found = replayed(others.log)
    assert found.equal, found
    assert found.total >= 4
