"""Many applications that are due at once are decided together: the broker is waited for once."""

from pathlib import Path

import pytest

from midstage.contracts.policy import Policy, Rate, Targets
from midstage.hpa.stream.replay import replayed
from midstage.testkit.waiting import within
from tests.hpa.conftest import Others, records, running

pytestmark = pytest.mark.slow
APPS = [f"app-{number}" for number in range(30)]
POLICY = Policy(min=1, max=99, targets=Targets(concurrency=2), window_s=1, up=Rate(pods=1000))


def test_first_counts_of_many_are_waited_for_together(others: Others, tmp_path: Path) -> None:
    stood: list[int] = []

    def reached(place: str) -> None:
        if place == "append:sent":
            stood.append(sum(record.key in keys for record in records(others.log, topic)))

    topic, keys = others.names.scaling, {app.encode() for app in APPS}
    others.reach()
    for app in APPS:
        others.specify(app, POLICY, replicas=2)
    with running(others.log, others.names, tmp_path, reached=reached) as hpa:
        within(60, lambda: all(hpa.counts(app) == [2] for app in APPS))
    turns = {each for each in stood if each}  # the rest are of partitions that were taken
    assert max(turns) == len(APPS)
    assert len(turns) <= len(APPS) // 3  # one for each application, if each were waited for
    found = replayed(others.log, topics=others.names)
    assert found.equal
    assert found.changes == len(APPS)
