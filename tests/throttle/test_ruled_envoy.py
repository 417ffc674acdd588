"""The situations of envoyproxy/ratelimit's end-to-end scripts, through a real Envoy.

Its examples count by the minute; here a window is a year, so that none ends within a test.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from midstage.testkit.waiting import within
from tests.throttle.ruled import Ruled, charged, header, route, ruled, sample, service

pytestmark = [pytest.mark.platform, pytest.mark.slow]

RL = """
domain: rl
descriptors:
  - key: category
    value: account
    rate_limit:
      replaces: [{name: bkthomps}, {name: fake_name}]
      unit: year
      requests_per_unit: 4
  - key: source_cluster
    value: proxy
    descriptors:
      - key: destination_cluster
        value: bkthomps
        rate_limit: {replaces: [{name: bkthomps}], unit: year, requests_per_unit: 2}
      - key: destination_cluster
        value: mock
        rate_limit: {unit: year, requests_per_unit: 1}
      - key: destination_cluster
        value: override
        rate_limit: {replaces: [{name: banned_limit}], unit: year, requests_per_unit: 2}
      - key: destination_cluster
        value: fake
        rate_limit: {name: fake_name, unit: year, requests_per_unit: 2}
  - key: foo
    rate_limit: {unit: year, requests_per_unit: 2}
    descriptors:
      - key: bar
        rate_limit: {unit: year, requests_per_unit: 3}
      - key: bar
        value: bkthomps
        rate_limit: {name: bkthomps, unit: year, requests_per_unit: 1}
      - key: bar
        value: banned
        rate_limit: {name: banned_limit, unit: year, requests_per_unit: 0}
      - key: baz
        value: not-so-shady
        rate_limit: {unit: year, requests_per_unit: 3}
      - key: baz
        value: shady
        rate_limit: {unit: year, requests_per_unit: 3}
        shadow_mode: true
  - key: unspec
    detailed_metric: true
    rate_limit: {unit: year, requests_per_unit: 2}
"""
QUOTA = """
domain: quota
descriptors:
  - key: service
    value: service_1
    quota_mode: true
    rate_limit: {unit: year, requests_per_unit: 1}
  - key: service
    value: service_2
    quota_mode: true
    rate_limit: {unit: year, requests_per_unit: 2}
  - key: given_back
    rate_limit: {unit: year, requests_per_unit: 1}
  - key: routed
    rate_limit: {unit: year, requests_per_unit: 2}
    metadata: {service: {name: service_1, weight: 7}}
"""
TWO = (("foo", "bar"), ("foo", "baz"))
FOUR = (("foo", "bar"), ("source_cluster", "destination_cluster"))
FIVE = (*FOUR, ("category",))
ROUTES = [
    route("/twoheader", *TWO),
    route("/fourheader", *FOUR),
    route("/fiveheader", *FIVE),
    route("/unspec", ("unspec",)),
]
NOTHING = {"hits_addend": {"number": 0}}
AT_THE_END = {"apply_on_stream_done": True, "hits_addend": {"number": 1}}
SAID = "%DYNAMIC_METADATA(envoy.filters.http.ratelimit:metadata:service)%"
ASKED = [{"actions": [service(name)], **NOTHING} for name in ("service_1", "service_2")]
SERVED = {
    "actions": [{"request_headers": {"header_name": "x-service", "descriptor_key": "service"}}]
}
QUOTA_ROUTES = [
    {
        **route("/quota"),
        **charged({"actions": [service("service_1")]}, {"actions": [service("service_2")]}),
    },
    {
        **route("/tokenquota"),
        **charged(ASKED[1], {"actions": [service("service_2")], **AT_THE_END}),
    },
    *(
        {
            **route("/multiservice-tokenquota"),
            **charged(*ASKED, {**SERVED, **AT_THE_END}),
            "match": {"prefix": "/multiservice-tokenquota", **asked},
            "response_headers_to_add": [{"header": {"key": "x-from", "value": "%REQ(X-SERVICE)%"}}],
        }
        for asked in (
            {"headers": [{"name": "x-service", "present_match": True}]},
            {},
        )
    ),
    {
        **route("/routed", ("routed",)),
        "response_headers_to_add": [{"header": {"key": "x-to", "value": SAID}}],
    },
    {
        **route("/given-back"),
        **charged(
            {"actions": [header("given_back")]},
            {
                "actions": [header("given_back")],
                "apply_on_stream_done": True,
                "hits_addend": {"number": 1, "is_negative_hits": True},
            },
        ),
    },
]


@pytest.fixture(scope="module")
def rl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ruled]:
    """One Envoy for the tests of ``rl``; their values are their own."""
    with ruled(tmp_path_factory.mktemp("rl"), {"rl.yaml": RL}, ROUTES, domain="rl") as served:
        yield served


@pytest.fixture
def quota(tmp_path: Path) -> Iterator[Ruled]:
    with ruled(tmp_path, {"quota.yaml": QUOTA}, QUOTA_ROUTES, domain="quota") as served:
        yield served


def test_simple_get(rl: Ruled) -> None:
    assert rl.get("/twoheader", foo="simple", baz="shady").status_code == 200
    assert rl.get("/twoheader").status_code == 200


def test_trigger_rate_limit(rl: Ruled) -> None:
    asked = {"foo": "trigger", "baz": "not-so-shady"}
    assert rl.statuses(5, "/twoheader", **asked) == [200, 200, 200, 429, 429]
    refused = rl.get("/twoheader", **asked)
    told = {name: refused.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining")}
    assert told == {"limit": "3", "remaining": "0"}
    assert 0 < int(refused.headers["x-ratelimit-reset"]) <= 365 * 86_400


def test_shadow_mode_passes_and_tells_that_nothing_is_left(rl: Ruled) -> None:
    assert rl.statuses(5, "/twoheader", foo="shadow", baz="shady") == [200] * 5
    assert rl.get("/twoheader", foo="shadow", baz="shady").headers["x-ratelimit-remaining"] == "0"
    assert rl.counted("shadow_mode", "rl", "foo.baz_shady") == 3


def test_replaces_raises_a_limit(rl: Ruled) -> None:
    asked = {"foo": "raised", "bar": "banned"}
    assert rl.get("/twoheader", **asked).status_code == 429
    proxy = {**asked, "source_cluster": "proxy"}
    assert rl.get("/fourheader", **proxy, destination_cluster="mock").status_code == 429
    override = rl.statuses(3, "/fourheader", **proxy, destination_cluster="override")
    assert override == [200, 200, 429]


def test_replaces_leaves_what_it_replaces_uncounted(rl: Ruled) -> None:
    asked = {"foo": "kept", "bar": "bkthomps", "source_cluster": "proxy"}
    own = {**asked, "destination_cluster": "bkthomps"}
    assert rl.statuses(3, "/fourheader", **own) == [200, 200, 429]
    other = {**asked, "destination_cluster": "not_bkthomps"}
    assert rl.statuses(2, "/fourheader", **other) == [200, 429]
    assert rl.get("/fourheader", **own).status_code == 429


def test_replaces_several(rl: Ruled) -> None:
    asked = {"foo": "many", "bar": "bkthomps", "source_cluster": "proxy",
             "destination_cluster": "fake", "category": "account"}  # fmt: skip
    assert rl.statuses(5, "/fiveheader", **asked) == [200, 200, 200, 200, 429]
    assert rl.statuses(2, "/twoheader", foo="alone", bar="bkthomps") == [200, 429]
    fake = {"foo": "foo_3", "bar": "bar_3", "source_cluster": "proxy",
            "destination_cluster": "fake"}  # fmt: skip
    assert rl.statuses(3, "/fourheader", **fake) == [200, 200, 429]


def test_a_value_that_no_rule_names_is_in_the_metrics_key(rl: Ruled) -> None:
    assert rl.statuses(3, "/unspec", unspec="unspecified_value") == [200, 200, 429]
    assert rl.counted("over_limit", "rl", "unspec_unspecified_value") == 1


def test_quota_refuses_when_every_service_is_over(quota: Ruled) -> None:
    assert quota.statuses(3, "/quota") == [200, 200, 429]


def test_token_quota_is_charged_when_the_answer_ends(quota: Ruled) -> None:
    served = []
    for _ in range(3):
        served.append(quota.get("/tokenquota").status_code)
        within(60, lambda: hits(quota, "service_2") == len(served))
    assert served == [200, 200, 200]
    assert quota.get("/tokenquota").status_code == 429


def test_token_quota_of_many_services_goes_to_the_first_that_has_some(quota: Ruled) -> None:
    served = []
    for _ in range(5):
        answer = quota.get("/multiservice-tokenquota")
        assert answer.status_code == 200
        served.append(answer.headers["x-from"])
        within(60, lambda: hits(quota, "service_1") + hits(quota, "service_2") == len(served))
    assert served == ["service_1"] * 2 + ["service_2"] * 3
    assert quota.get("/multiservice-tokenquota").status_code == 429


def test_what_a_file_says_of_a_descriptor_reaches_the_next_filters(quota: Ruled) -> None:
    said = quota.get("/routed", routed="once").headers["x-to"]
    assert json.loads(said) == {"name": "service_1", "weight": 7}


def test_hits_are_given_back_when_the_answer_ends(quota: Ruled) -> None:
    first = quota.get("/given-back", given_back="x")
    assert (first.status_code, first.headers["x-ratelimit-remaining"]) == (200, "0")
    within(60, lambda: answers(quota) == 2)
    assert quota.get("/given-back", given_back="x").status_code == 200


def hits(served: Ruled, name: str) -> float:
    return served.counted("hits", "quota", f"service_{name}")


def answers(served: Ruled) -> float:
    """Questions that were answered: one for a request, one more for its end."""
    return sample(served.throttle, "rule_checks_total", verdict="admitted")
