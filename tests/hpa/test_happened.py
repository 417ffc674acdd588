"""What really happened, beside what a policy would have done: replicas as control saw them."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts import topics
from midstage.contracts.cluster import (
    OBJECT_GONE,
    POD_OBSERVED,
    WORKLOAD_OBSERVED,
    Kind,
    ObjectGone,
    Phase,
    PodObserved,
    WorkloadObserved,
)
from midstage.contracts.fact import Event
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.eventlog.codec import message
from midstage.eventlog.log import Message
from midstage.hpa.simulate.command import command
from midstage.hpa.simulate.happened import Seen, followed
from midstage.hpa.simulate.series import Series
from tests.hpa.conftest import Others

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = {
    WorkloadObserved: WORKLOAD_OBSERVED,
    PodObserved: POD_OBSERVED,
    ObjectGone: OBJECT_GONE,
    LoadObserved: LOAD_OBSERVED,
}


def at(second: int) -> datetime:
    return BEGUN + timedelta(seconds=second)


def workload(second: int, *, ready: int, replicas: int, name: str = "chat-r1") -> WorkloadObserved:
    return WorkloadObserved(
        cluster="c",
        name=name,
        epoch=1,
        observed_at=at(second),
        app="chat",
        revision="r1",
        replicas=replicas,
        ready=ready,
    )


def gone(second: int, name: str) -> ObjectGone:
    return ObjectGone(
        cluster="c", name=name, epoch=1, observed_at=at(second), kind=Kind.WORKLOAD, app="chat"
    )


def pod(uid: str, *, made: int, ready: int | None, seen: int) -> PodObserved:
    return PodObserved(
        cluster="c",
        name=uid,
        uid=uid,
        epoch=1,
        observed_at=at(seen),
        app="chat",
        phase=Phase.RUNNING,
        created_at=at(made),
        ready_at=None if ready is None else at(ready),
    )


def series(*values: float) -> Series:
    return Series(begun=BEGUN, values=np.array(values))


def test_each_step_has_what_was_seen_last_before_it() -> None:
    facts = [
        workload(0, ready=2, replicas=2),
        workload(20, ready=2, replicas=3),  # ordered within the second step
        workload(44, ready=3, replicas=3),
    ]
    run = followed(facts, series(9.0, 9.0, 9.0, 9.0), each=5.0)
    assert run is not None
    assert run.ready.tolist() == [2, 2, 2, 3]
    assert run.there.tolist() == [2, 2, 3, 3]
    assert (run.load.tolist(), run.each) == ([9.0] * 4, 5.0)


def test_revisions_add_up_and_one_that_is_gone_counts_no_more() -> None:
    facts: list[Seen] = [
        workload(0, ready=2, replicas=2),
        workload(10, ready=0, replicas=1, name="chat-r2"),
        workload(20, ready=1, replicas=1, name="chat-r2"),
        workload(35, ready=2, replicas=1),  # one of two is still ending
        gone(50, "chat-r1"),
        gone(51, "chat-r9"),
    ]
    run = followed(facts, series(*[1.0] * 5), each=1.0)
    assert run is not None
    assert run.ready.tolist() == [2, 2, 3, 3, 1]
    assert run.there.tolist() == [2, 3, 3, 3, 1]


def test_before_control_saw_it_nothing_is_judged() -> None:
    run = followed([workload(16, ready=1, replicas=1)], series(5.0, 5.0, 5.0), each=1.0)
    assert run is not None
    assert np.isnan(run.load).tolist() == [True, True, False]
    assert run.ready.tolist() == [0, 0, 1]
    assert followed([pod("a", made=0, ready=5, seen=6)], series(5.0, 5.0), each=1.0) is None
    assert followed([gone(0, "chat-r1")], series(5.0, 5.0), each=1.0) is None


def test_from_order_to_ready_is_of_each_pod_its_first_time() -> None:
    facts: Sequence[Seen] = [
        workload(0, ready=0, replicas=1),
        pod("a", made=0, ready=None, seen=1),
        pod("a", made=0, ready=90, seen=100),  # unready meanwhile
        pod("a", made=0, ready=30, seen=31),
        pod("b", made=10, ready=50, seen=51),
        pod("c", made=10, ready=None, seen=51),
    ]
    run = followed(facts, series(1.0, 1.0), each=1.0)
    assert run is not None
    assert sorted(run.waits_s) == [30.0, 40.0]


@given(
    st.lists(
        st.builds(
            workload,
            st.integers(-50, 100),
            ready=st.integers(0, 9),
            replicas=st.integers(0, 9),
            name=st.sampled_from(["a", "b"]),
        ),
        min_size=1,
        unique_by=lambda fact: (fact.observed_at, fact.name),
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_partitions_changes_nothing(facts: list[Seen], shuffling: object) -> None:
    again = [*facts, *facts]
    shuffling.shuffle(again)  # type: ignore[attr-defined]  # random.Random, which st.randoms gives
    one, other = (followed(each, series(*[1.0] * 8), each=1.0) for each in (facts, again))
    assert one is not None
    assert other is not None
    assert (one.ready == other.ready).all()
    assert (one.there == other.there).all()


def test_it_stands_beside_the_policies(
    tmp_path: Path, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "ours.json"
    policy.write_text('{"max": 50, "targets": {"requests_per_s": 7}}')
    for second in range(300):
        load = LoadObserved(app="chat", second=at(second), shard=0, shards=1, outcomes={"ok": 20})
        others.put(as_message(load, topics.LOAD.name))
    words = ["--policy", str(policy), "--kafka", "here", "--app", "chat", "--warm-up", "0"]
    assert command(words, log_at=lambda _: others.log) == 0
    assert "what happened" not in capsys.readouterr().out
    seen: list[WorkloadObserved | PodObserved] = [
        workload(0, ready=1, replicas=2),
        workload(150, ready=2, replicas=2),
        pod("a", made=0, ready=40, seen=41),
        msgspec.structs.replace(workload(0, ready=9, replicas=9, name="else"), app="else"),
    ]
    for fact in seen:
        others.put(as_message(fact, topics.CLUSTER.name))
    assert command(words, log_at=lambda _: others.log) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[3].split() == ["ours", "what", "happened"]
    [violated] = [line for line in told.splitlines() if line.startswith("violated, of the time")]
    assert violated.split()[-2:] == ["0.000%", "50.000%"]
    [ready] = [line for line in told.splitlines() if line.startswith("ordered to ready, s")]
    assert ready.split()[-1] == "40"
    assert command([*words, "--normalise"], log_at=lambda _: others.log) == 0
    assert "what happened" not in capsys.readouterr().out  # replicas of another size


def as_message(fact: WorkloadObserved | PodObserved | LoadObserved, topic: str) -> Message:
    event = Event(id=uuid.uuid4().hex, source="test", type=TYPES[type(fact)], time=BEGUN, data=fact)
    return message(event, topic=topic, key="chat")
