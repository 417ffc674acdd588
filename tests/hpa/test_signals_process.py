"""An hpa that scales by a queue, and holds its count when the queue is not told any more."""

from pathlib import Path

import pytest

from midstage.contracts.policy import Policy, Rate, Targets
from midstage.contracts.signals import Signal
from midstage.hpa.stream.replay import replayed
from midstage.testkit.waiting import within
from tests.hpa.conftest import Others, Running, running

pytestmark = pytest.mark.slow
POLICY = Policy(
    min=1,
    max=9,
    targets=Targets(),
    signals={"jobs": Signal(target=10)},
    stabilise_down_s=0,
    up=Rate(pods=100),
    down=Rate(pods=100),
)


def test_a_queue_is_decided_by_and_made_again(others: Others, tmp_path: Path) -> None:
    others.reach()
    others.specify("chat", POLICY, replicas=2)
    with running(others.log, others.names, tmp_path) as hpa:
        within(60, lambda: hpa.counts("chat") == [2])
        within(60, lambda: hpa.evaluation("chat"))
        assert "jobs is not known" in hpa.evaluation("chat")["evaluation"]["reason"] or (
            "no rule has valid input" in hpa.evaluation("chat")["evaluation"]["reason"]
        )
        others.pods("chat", 2)
        queued(hpa, others, 55, [2, 6])
        others.pods("chat", 6)
        queued(hpa, others, 25, [2, 6, 3])
    with running(others.log, others.names, tmp_path) as hpa:
        assert hpa.counts("chat") == [2, 6, 3]
    found = replayed(others.log, topics=others.names)
    assert found.equal, found
    assert found.unheld == 0


def queued(hpa: Running, others: Others, waiting: float, counts: list[int]) -> None:
    """Wait until these counts are decided by so many that wait; neither they nor the cluster are
    believed for as long as a busy machine may take, so both are said again and again.
    """

    def decided() -> bool:
        others.reach()
        others.signal("chat", "jobs", waiting)
        return hpa.counts("chat") == counts

    within(60, decided, every=0.1)
