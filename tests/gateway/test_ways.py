"""When a replica serves, drains, is drained: from Envoy's figures, never from what it was told."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.limits import FailureRule
from midstage.contracts.routes import Way
from midstage.gateway.decide.applied import looked
from midstage.gateway.decide.ways import QUIET_S, standing
from midstage.gateway.model.apps import App, Endpoint, Homeless, Replica
from midstage.gateway.model.inforce import Host, Seen, Watch

AT = Endpoint(host="127.0.0.1", port=40001)
SERVES = Replica(endpoint=AT, pod="p", resource_version=1)
ENDS = replace(SERVES, out=True, ending=True, resource_version=2)
UNREADY = replace(SERVES, out=True)
HEALTHY = Host(begun=7)
DRAINING = Host(draining=True, begun=7)


def way(replica: Replica, *looks: tuple[float, Host | None]) -> Way | None:
    """What is said after the last of these looks."""
    watch: Watch | None = None
    said: Way | None = None
    for now_s, host in looks:
        found = standing(replica, host, before=watch, now_s=now_s)
        watch, said = (found.watch, found.way) if found is not None else (None, None)
    return said


def test_a_replica_serves_once_envoy_has_checked_it() -> None:
    assert way(SERVES, (0, None)) is None
    assert way(SERVES, (0, replace(HEALTHY, checking=True, failing=True))) is None
    assert way(SERVES, (0, HEALTHY)) is Way.SERVING
    assert way(SERVES, (0, replace(HEALTHY, failing=True))) is Way.DRAINING


def test_what_was_told_to_end_serves_until_envoy_says_otherwise() -> None:
    assert way(ENDS, (0, HEALTHY), (9, HEALTHY)) is Way.SERVING


def test_it_is_drained_when_nothing_is_open_and_it_was_quiet() -> None:
    assert way(ENDS, (0, DRAINING)) is Way.DRAINING
    assert way(ENDS, (0, DRAINING), (QUIET_S - 0.01, DRAINING)) is Way.DRAINING
    assert way(ENDS, (0, DRAINING), (QUIET_S, DRAINING)) is Way.DRAINED


def test_an_open_request_keeps_it_draining_for_as_long_as_it_takes() -> None:
    busy = replace(DRAINING, active=1)

    assert way(ENDS, (0, busy), (1000, busy)) is Way.DRAINING
    assert way(ENDS, (0, busy), (1000, busy), (1000.2, DRAINING)) is Way.DRAINED


def test_a_request_that_waits_for_its_connection_is_open() -> None:
    waits = replace(DRAINING, waiting=1)

    assert way(ENDS, (0, waits), (1000, waits)) is Way.DRAINING


def test_a_request_that_a_worker_began_late_starts_the_quiet_anew() -> None:
    later = replace(DRAINING, begun=8)

    assert way(ENDS, (0, DRAINING), (0.4, later), (0.6, later)) is Way.DRAINING
    assert way(ENDS, (0, DRAINING), (0.4, later), (0.9, later)) is Way.DRAINED


def test_an_envoy_that_started_anew_starts_the_quiet_anew() -> None:
    fresh = replace(DRAINING, begun=0)

    assert way(ENDS, (0, DRAINING), (0.4, fresh), (0.6, fresh)) is Way.DRAINING


def test_who_was_served_meanwhile_is_not_drained_by_an_old_look() -> None:
    assert way(ENDS, (0, DRAINING), (0.4, HEALTHY), (0.6, DRAINING)) is Way.DRAINING
    marked_anew = replace(ENDS, resource_version=4)
    first = standing(ENDS, DRAINING, before=None, now_s=0)
    assert first is not None
    second = standing(marked_anew, DRAINING, before=first.watch, now_s=9)
    assert second is not None
    assert second.way is Way.DRAINING


def test_who_may_serve_again_unasked_is_never_drained() -> None:
    assert way(UNREADY, (0, DRAINING), (1000, DRAINING)) is Way.DRAINING


def test_who_envoy_does_not_know_is_not_drained() -> None:
    assert way(ENDS, (0, None), (1000, None)) is Way.DRAINING


@given(
    st.lists(
        st.tuples(
            st.floats(0, 2, allow_nan=False),
            st.booleans(),
            st.integers(0, 2),
            st.integers(0, 2),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_drained_means_quiet_empty_and_out(
    looks: list[tuple[float, bool, int, int, int]],
) -> None:
    now_s, begun, watch = 0.0, 0, None
    quiet_since: float | None = None
    for passed, draining, active, waiting, more in looks:
        now_s, begun = now_s + passed, begun + more
        if not draining:
            quiet_since = None
        elif quiet_since is None or more:
            quiet_since = now_s
        host = Host(draining=draining, active=active, waiting=waiting, begun=begun)
        found = standing(ENDS, host, before=watch, now_s=now_s)
        assert found is not None
        watch = found.watch
        if found.way is Way.DRAINED:
            assert quiet_since is not None
            assert now_s - quiet_since >= QUIET_S
            assert (draining, active, waiting) == (True, 0, 0)


def test_each_pod_of_an_application_is_named() -> None:
    homeless = Homeless(pod="h", cluster="local", revision="r1", uid="u", resource_version=3)
    app = App(
        name="chat",
        prefix="/chat",
        hosts=(),
        replicas=(SERVES, replace(ENDS, pod="q", endpoint=replace(AT, port=40002))),
        on_throttle_failure=FailureRule.OPEN,
        timeout_s=1.0,
        homeless=(homeless,),
        version=1,
    )
    seen = Seen(
        routes="",
        hosts={
            ("chat", AT): replace(HEALTHY, active=2),
            ("chat", replace(AT, port=40002)): replace(DRAINING, active=1),
        },
    )
    look = looked([app], seen, before={}, now_s=0)

    assert [(one.pod, one.way, one.active, one.resource_version) for one in look.apps["chat"]] == [
        ("h", Way.DRAINED, 0, 3),
        ("p", Way.SERVING, 2, 1),
        ("q", Way.DRAINING, 1, 2),
    ]
    assert not look.settled
