"""Which applications and pods Envoy is told of: from facts, good, odd and hostile, to a value."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.apps import (
    AppFact,
    AppRemoved,
    AppSpec,
    AppSpecified,
    Probe,
    Routes,
    revision_of,
)
from midstage.contracts.cluster import Phase, PodObserved
from midstage.contracts.limits import FailureRule
from midstage.gateway.decide.deployed import deployed, evolve
from midstage.gateway.decide.pods import pods
from midstage.gateway.decide.routing import merged, unbroken
from midstage.gateway.model.apps import App, Deployed, Endpoint, Place, Replica, Routing
from midstage.gateway.model.deployed import Slot

from .deployment import NOON, R1, pod, spec


def specified(app: str, wanted: AppSpec, *, second: int = 0) -> AppSpecified:
    return AppSpecified(
        app=app, at=NOON.replace(second=second), spec=wanted, revision=revision_of(wanted)
    )


def folded(*facts: AppFact) -> tuple[int, Slot]:
    slot = Slot()
    for fact in facts:
        slot = evolve(slot, fact)
    return len(facts), slot


def told(slots: Mapping[str, tuple[int, Slot]], *observed: PodObserved, **stuck: str) -> Deployed:
    by_app = {app: pods([one for one in observed if one.app == app]) for app in slots}
    return deployed(slots, pods=by_app, stuck=stuck)


def reasons(found: Deployed) -> Mapping[str, Sequence[str]]:
    names = {one.app for one in found.refused}
    return {name: [one.reason for one in found.refused if one.app == name] for name in names}


def test_a_spec_and_its_ready_pod_are_a_route_with_a_replica() -> None:
    wanted = replace_routes(
        spec("/chat", hosts=("chat.localhost",)),
        timeout_s=7.0,
        on_throttle_failure=FailureRule.CLOSED,
    )
    found = told({"chat": folded(specified("chat", wanted))}, pod("chat-1", version=9))

    assert found.refused == ()
    assert found.apps == (
        App(
            name="chat",
            prefix="/chat",
            hosts=("chat.localhost",),
            replicas=(
                Replica(
                    endpoint=Endpoint(host="127.0.0.1", port=40001),
                    pod="chat-1",
                    cluster="local",
                    revision=R1,
                    uid="uid-of-chat-1",
                    resource_version=9,
                ),
            ),
            on_throttle_failure=FailureRule.CLOSED,
            timeout_s=7.0,
            readiness_path="/readyz",
            version=1,
        ),
    )


BAD = [
    ("unknown", spec("/x")),
    ("midstage-throttle", spec("/x")),
    ("chat\n", spec("/x")),
    ("chat", spec("/chat\n")),
    ("chat", spec("chat")),
    ("chat", spec("/", hosts=())),
    ("chat", spec(hosts=("Chat.Localhost",))),
    ("chat", spec(hosts=("chat.localhost\n",))),
    ("chat", spec(ready="/ready z")),
    ("chat", spec(ready="/readyz\r\nx: y")),
]


@pytest.mark.parametrize(("name", "wanted"), BAD)
def test_a_bad_spec_is_refused_alone_with_the_reason(name: str, wanted: AppSpec) -> None:
    slots = {
        name: folded(specified(name, wanted)),
        "code": folded(specified("code", spec("/code"))),
    }
    found = told(slots, pod("code-1", app="code"))

    assert [app.name for app in found.apps] == ["code"]
    assert reasons(found)[name]


def test_a_bad_spec_leaves_what_holds() -> None:
    good, bad = specified("chat", spec("/chat")), specified("chat", spec(ready="no path"))
    found = told({"chat": folded(good, bad)}, pod("chat-1"))

    assert [(app.prefix, app.version) for app in found.apps] == [("/chat", 2)]
    assert "no path" in reasons(found)["chat"][0]
    assert told({"chat": folded(good, bad, good)}).refused == ()


def test_a_fact_that_is_not_known_here_leaves_what_holds() -> None:
    found = told({"chat": folded(specified("chat", spec("/chat")))}, chat="it is from the future")

    assert [app.prefix for app in found.apps] == ["/chat"]
    assert reasons(found) == {"chat": ["it is from the future"]}


def test_a_fact_under_the_key_of_another_is_refused() -> None:
    stranger = specified("code", spec("/code"))
    assert told({"chat": folded(stranger)}).apps == ()
    found = told({"chat": folded(specified("chat", spec("/chat")), stranger)})

    assert [app.prefix for app in found.apps] == ["/chat"]
    assert "code" in reasons(found)["chat"][0]


def test_a_prefix_is_whose_who_asked_first() -> None:
    first, second = spec("/x", hosts=("a.localhost",)), spec("/y", hosts=("a.localhost",))
    slots = {
        "late": folded(specified("late", first, second=2)),
        "early": folded(specified("early", second, second=1)),
    }
    found = told(slots, pod("late-1", app="late"))

    assert {app.name: app.ways for app in found.apps} == {
        "early": ("/y", "a.localhost"),
        "late": (),
    }
    assert [len(app.replicas) for app in found.apps] == [0, 1]  # they are kept: they may be busy
    assert reasons(found) == {"late": ["a.localhost is early's"]}


def test_a_new_revision_does_not_lose_its_prefix_to_whoever_asked_meanwhile() -> None:
    slots = {
        "chat": folded(
            specified("chat", spec("/x"), second=1),
            specified("chat", spec("/x", ready="/other"), second=3),
        ),
        "code": folded(specified("code", spec("/x"), second=2)),
    }

    assert {app.name: app.ways for app in told(slots).apps} == {"chat": ("/x",), "code": ()}


def test_a_readiness_path_stays_and_who_answers_elsewhere_is_not_asked() -> None:
    """With another path Envoy begins a new cluster, and old requests are out of sight."""
    old, new = spec("/chat", ready="/health"), spec("/chat", ready="/other")
    slots = {"chat": folded(specified("chat", old), specified("chat", new))}
    (app,) = told(
        slots,
        pod("old", port=1, revision=revision_of(old)),
        pod("new", port=2, revision=revision_of(new)),
    ).apps

    assert app.readiness_path == "/health"
    assert {replica.pod: replica.checked for replica in app.replicas} == {
        "old": True,
        "new": False,
    }


def test_times_without_a_zone_harm_nobody() -> None:
    slots = {
        "chat": folded(
            AppSpecified(app="chat", at=NOON.replace(tzinfo=None), spec=spec("/x"), revision="r")
        ),
        "code": folded(specified("code", spec("/y"))),
    }

    assert len(told(slots).apps) == 2


def test_a_removed_application_is_nobody_s_until_its_pods_are_gone() -> None:
    slots = {
        "chat": folded(specified("chat", spec("/chat")), AppRemoved(app="chat", at=NOON)),
        "code": folded(specified("code", spec("/chat"), second=9)),
    }
    found = told(slots, pod("chat-1"))

    assert {app.name: app.ways for app in found.apps} == {"chat": (), "code": ("/chat",)}
    assert [replica.out for replica in found.apps[0].replicas] == [True]
    assert [app.name for app in told(slots).apps] == ["code"]


def test_an_application_without_routes_is_reached_by_nobody() -> None:
    found = told({"quiet": folded(specified("quiet", spec(None)))}, pod("q", app="quiet"))

    assert [(app.ways, len(app.replicas)) for app in found.apps] == [((), 1)]
    assert found.refused == ()


def test_a_timeout_that_envoy_would_take_as_none_is_not_none() -> None:
    wanted = replace_routes(spec("/chat"), timeout_s=1e-9)

    assert told({"chat": folded(specified("chat", wanted))}).apps[0].timeout_s == 0.001


def test_the_file_s_application_gives_way_to_the_log_s() -> None:
    log = told({"chat": folded(specified("chat", spec("/chat", hosts=("chat.localhost",))))})
    mine = Routing(
        apps=(
            people("chat", "/other"),
            people("takes-prefix", "/chat"),
            replace(people("takes-host", ""), hosts=("chat.localhost",)),
            people("mine", "/mine"),
        )
    )
    both = merged(mine, log)

    assert [app.name for app in both.routing.apps] == ["mine", "chat"]
    assert {one.app for one in both.refused} == {"chat", "takes-prefix", "takes-host"}
    assert all("applications file" in one.reason for one in both.refused)


def test_who_ends_serves_on_until_somebody_else_does() -> None:
    slots = {"chat": folded(specified("chat", spec("/chat")))}
    old, new = pod("old", port=1, draining=True), pod("new", port=2)
    routing = Routing(apps=told(slots, old, new).apps)
    at_old, at_new = (("chat", Endpoint(host="127.0.0.1", port=port)) for port in (1, 2))

    def out(*, serving: set[Place]) -> set[str]:
        (app,) = unbroken(routing, serving=serving).apps
        return {replica.pod for replica in app.replicas if replica.out}

    assert out(serving={at_old}) == set()
    assert out(serving={at_old, at_new}) == {"old"}
    assert out(serving={at_new}) == {"old"}
    assert out(serving=set()) == {"old"}  # it serves no more: it never will again


@pytest.mark.parametrize(
    "old",
    [pod("old", port=1, phase=Phase.STOPPING), pod("old", port=1, ready=False, draining=True)],
)
def test_who_can_t_serve_does_not_serve_on(old: PodObserved) -> None:
    slots = {"chat": folded(specified("chat", spec("/chat")))}
    routing = Routing(apps=told(slots, old, pod("new", port=2)).apps)

    assert unbroken(routing, serving={("chat", Endpoint(host="127.0.0.1", port=1))}) == routing


def test_the_last_one_drains_where_nobody_is_to_follow() -> None:
    slots = {"chat": folded(specified("chat", spec("/chat")))}
    routing = Routing(apps=told(slots, pod("old", port=1, draining=True)).apps)

    assert unbroken(routing, serving={("chat", Endpoint(host="127.0.0.1", port=1))}) == routing


_text = st.text(max_size=20)
_odd_specs = st.builds(
    AppSpec,
    command=st.just(("x",)),
    readiness=st.builds(Probe, path=st.one_of(_text, st.just("/readyz"))),
    routes=st.builds(
        Routes,
        prefix=st.one_of(st.none(), _text, st.sampled_from(["/a", "/b", "/a/b"])),
        hosts=st.lists(st.one_of(_text, st.sampled_from(["a", "b"])), max_size=3).map(tuple),
        timeout_s=st.floats(min_value=1e-9, max_value=1e5),
    ),
)
_odd_facts = st.one_of(
    st.builds(
        AppSpecified,
        app=st.sampled_from(["a", "b", "c"]),
        at=st.datetimes(),
        spec=_odd_specs,
        revision=st.just("r"),
    ),
    st.builds(AppRemoved, app=st.sampled_from(["a", "b", "c"]), at=st.datetimes()),
)
_odd_pods = st.builds(
    lambda name, app, **fields: pod(name, app=app, **fields),
    st.sampled_from(["p", "q", "r"]),
    st.sampled_from(["a", "b", "c"]),
    version=st.integers(0, 5),
    ready=st.booleans(),
    draining=st.booleans(),
    was_ready=st.booleans(),
    phase=st.sampled_from(Phase),
    address=st.one_of(_text, st.sampled_from(["127.0.0.1:1", "127.0.0.1:2", "[::1]:3"])),
)


@given(
    facts=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), _odd_facts), max_size=12),
    observed=st.lists(_odd_pods, max_size=8),
)
def test_whatever_the_facts_each_way_and_each_address_is_one_s(
    facts: Sequence[tuple[str, AppFact]], observed: Sequence[PodObserved]
) -> None:
    slots: dict[str, tuple[int, Slot]] = {}
    for key, fact in facts:
        version, slot = slots.get(key, (0, Slot()))
        slots[key] = version + 1, evolve(slot, fact)
    found = told(slots, *observed)

    ways = [way for app in found.apps for way in app.ways]
    assert len(ways) == len(set(ways))
    for app in found.apps:
        addresses = [replica.endpoint for replica in app.replicas]
        assert len(addresses) == len(set(addresses))
        serving = {replica.pod for replica in app.replicas if not replica.out}
        ready = {
            one.name for one in observed if one.app == app.name and one.ready and not one.draining
        }
        assert serving <= ready


def people(name: str, prefix: str) -> App:
    return App(
        name=name,
        prefix=prefix,
        hosts=(),
        replicas=(),
        on_throttle_failure=FailureRule.OPEN,
        timeout_s=1.0,
    )


def replace_routes(wanted: AppSpec, **fields: object) -> AppSpec:
    return msgspec.structs.replace(wanted, routes=msgspec.structs.replace(wanted.routes, **fields))
