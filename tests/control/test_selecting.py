"""Which objects a question means, and pages that stay stable while things change."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.cluster import (
    Amount,
    EndpointsObserved,
    EndpointState,
    NodeObserved,
    Phase,
    PodObserved,
    WorkloadObserved,
)
from midstage.contracts.errors import RefusedError
from midstage.contracts.inventory import Living
from midstage.control.views.selecting import Wanted, key, page, terms

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_pod(name: str = "chat-1", *, app: str = "chat", reason: str = "") -> PodObserved:
    return PodObserved(
        cluster="local",
        namespace="default",
        name=name,
        epoch=1,
        observed_at=NOON,
        app=app,
        revision="abc",
        workload=f"{app}-abc",
        node="gpu-1",
        phase=Phase.RUNNING,
        ready=True,
        reason=reason,
        created_at=NOON,
    )


NODE = NodeObserved(
    cluster="local",
    name="gpu-1",
    epoch=1,
    observed_at=NOON,
    ready=True,
    reason="KubeletReady",
    capacity=Amount(),
    labels={"zone": "b", "spot": ""},
)
WORKLOAD = WorkloadObserved(
    cluster="local",
    namespace="default",
    name="chat-abc",
    epoch=1,
    observed_at=NOON,
    app="chat",
    revision="abc",
    replicas=1,
    drift=("kubectl-edit: spec.template",),
)
SLICE = EndpointsObserved(
    cluster="local",
    namespace="default",
    name="chat-x",
    epoch=1,
    observed_at=NOON,
    app="chat",
    service="chat",
    endpoints=(EndpointState(address="10.0.0.9:8080", pod="chat-1"),),
)
ALL: tuple[Living, ...] = (a_pod(), NODE, WORKLOAD, SLICE)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ALL),
        (Wanted(cluster="far"), ()),
        (Wanted(namespace="default"), (ALL[0], WORKLOAD, SLICE)),
        (Wanted(app="chat"), (ALL[0], WORKLOAD, SLICE)),
        (Wanted(node="gpu-1"), (ALL[0],)),
        (Wanted(node="gpu-2"), ()),
        (Wanted(phase="running"), (ALL[0],)),
        (Wanted(phase="pending"), ()),
        (Wanted(ready=True), (ALL[0], NODE)),
        (Wanted(ready=False), ()),
        (Wanted(q="KUBELETready"), (NODE,)),
        (Wanted(q="zone=b"), (NODE,)),
        (Wanted(q="10.0.0.9"), (SLICE,)),
        (Wanted(q="kubectl"), (WORKLOAD,)),
        (Wanted(q="gpu-1"), (ALL[0], NODE)),
        (Wanted(labels=terms("zone=b")), (NODE,)),
        (Wanted(labels=terms("zone!=b,!spot")), (ALL[0], WORKLOAD, SLICE)),
        (Wanted(labels=terms("spot")), (NODE,)),
        (Wanted(labels=terms("spot=")), (NODE,)),
        (Wanted(labels=terms("midstage.dev/revision == abc")), (ALL[0], WORKLOAD)),
        (Wanted(labels=terms("kubernetes.io/service-name=chat")), (SLICE,)),
    ],
)
def test_what_is_meant(wanted: Wanted, found: tuple[Living, ...]) -> None:
    assert tuple(each for each in ALL if wanted.matches(each)) == found


@pytest.mark.parametrize("given", ["a=b=c", "=b", "!a=b", "a b", "a!b", "!", "zone in (a)"])
def test_a_demand_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(RefusedError, match="no demand on labels"):
        terms(given)


def test_no_demand_is_none() -> None:
    assert terms("") == terms(" , ") == ()


@given(
    st.sets(st.integers(0, 60), max_size=40),
    st.lists(st.sets(st.integers(0, 60), max_size=10), max_size=20),
    st.integers(1, 7),
)
def test_what_stays_is_on_one_page_whatever_comes_and_goes(
    begin: set[int], swaps: list[set[int]], limit: int
) -> None:
    """Between any two pages some pods vanish or appear: the others are told exactly once."""
    now, stayed = set(begin), set(begin)
    swapping = iter(swaps)
    told: list[str] = []
    after: str | None = None
    while True:
        held = sorted((a_pod(f"chat-{number:02}") for number in now), key=key)
        shown, after = page(held, Wanted(), after=after, limit=limit)
        assert len(shown) <= limit
        told += [each.name for each in shown]
        if after is None:
            break
        now ^= next(swapping, set())
        stayed &= now
    assert len(told) == len(set(told))
    assert {f"chat-{number:02}" for number in stayed} <= set(told)
    assert told == sorted(told)
