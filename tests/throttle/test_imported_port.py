"""Questions of ``RateLimitRequest`` by imported rules, and their answers byte by byte."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)
from google.protobuf import json_format
from prometheus_client import CollectorRegistry

from midstage.throttle.adapters.http2.calls import CallError, Status
from midstage.throttle.adapters.imported.port import KNOWN, LONGEST_KNOWN, Imported
from midstage.throttle.adapters.imported.protocol import RateLimitRequest, Telling
from midstage.throttle.decide.imported.book import Book
from midstage.throttle.decide.imported.counting import Counters, Options
from midstage.throttle.decide.imported.windows import Windows
from midstage.throttle.metrics import RuleMetrics

NOW_S = 7_000_000_000 - 7_000_000_000 % 31_536_000 + 59.9
LEFT = {"key": "k", "rate_limit": {"name": "named", "unit": "minute", "requests_per_unit": 10}}
RULES = {
    "domain": "d",
    "descriptors": [
        LEFT,
        {"key": "w", "rate_limit": {"unit": "week", "requests_per_unit": 1}},
        {"key": "free", "rate_limit": {"unlimited": True}},
        {"key": "q", "quota_mode": True, "rate_limit": {"unit": "day", "requests_per_unit": 1}},
    ],
}


class Port:
    """The rules above at a moment, and what they answer."""

    def __init__(
        self,
        telling: Telling | None = None,
        options: Options | None = None,
        *,
        most: int = 100,
        rules: object = RULES,
    ) -> None:
        self.registry = CollectorRegistry()
        self.book = Book(reserved={"midstage"})
        self.book.load([("file", rules)])
        counters = Counters(options=options, windows=Windows(most=most))
        self.imported = Imported(
            book=self.book,
            counters=counters,
            metrics=RuleMetrics(self.registry, counters),
            now_s=lambda: NOW_S,
            telling=telling or Telling(),
        )

    def ask(self, *descriptors: dict[str, Any], domain: str = "d", hits: int = 0) -> Any:
        told = self.imported.answer(question(*descriptors, domain=domain, hits=hits))
        assert told is not None
        return rls_pb2.RateLimitResponse.FromString(told)

    def verdicts(self, verdict: str) -> float:
        name = "midstage_throttle_rule_checks_total"
        return self.registry.get_sample_value(name, {"verdict": verdict}) or 0.0


def question(*descriptors: dict[str, Any], domain: str = "d", hits: int = 0) -> bytes:
    said = {"domain": domain, "descriptors": list(descriptors), "hitsAddend": hits}
    return bytes(json_format.ParseDict(said, RateLimitRequest()).SerializeToString())


def of(key: str, value: str = "v", **more: Any) -> dict[str, Any]:
    return {"entries": [{"key": key, "value": value}], **more}


def told(message: Any) -> Any:
    return json_format.MessageToDict(message)


def test_a_status_tells_its_limit_what_is_left_and_when_it_begins_anew() -> None:
    port = Port()
    assert told(port.ask(of("k"), of("free"), of("none"), of("w"), hits=3)) == {
        "overallCode": "OVER_LIMIT",
        "statuses": [
            {
                "code": "OK",
                "currentLimit": {"name": "named", "requestsPerUnit": 10, "unit": "MINUTE"},
                "limitRemaining": 7,
                "durationUntilReset": "1s",
            },
            {"code": "OK", "limitRemaining": 2**32 - 1},
            {"code": "OK"},
            {
                "code": "OVER_LIMIT",
                "currentLimit": {"requestsPerUnit": 1, "unit": "WEEK"},
                "durationUntilReset": f"{604_800 - int(NOW_S) % 604_800}s",
            },
        ],
    }
    assert port.verdicts("refused") == 1


def test_a_descriptors_own_hits_go_before_the_requests_also_none_and_below() -> None:
    port = Port()
    left = [
        port.ask(each, hits=hits).statuses[0].limit_remaining
        for each, hits in [
            (of("k"), 0),
            (of("k"), 4),
            (of("k", hitsAddend=2), 4),
            (of("k", hitsAddend=0), 4),
            (of("k", hitsAddend=5, isNegativeHits=True), 4),
            (of("k", isNegativeHits=True), 0),
            (of("k", hitsAddend=2**64 - 1, isNegativeHits=True), 0),
            (of("k", hitsAddend=2**64 - 1), 0),
        ]
    ]
    assert left == [9, 5, 3, 3, 8, 9, 10, 0]


@pytest.mark.parametrize("unit", ["SECOND", "MINUTE", "HOUR", "DAY", "MONTH", "YEAR"])
def test_a_limit_that_the_request_carries_holds(unit: str) -> None:
    port = Port()
    carried = of("any", limit={"requestsPerUnit": 2, "unit": unit})
    codes = [port.ask(carried).overall_code for _ in range(3)]
    assert codes == [1, 1, 2]
    limit = port.ask(carried).statuses[0].current_limit
    assert (limit.requests_per_unit, limit.Unit.Name(limit.unit)) == (2, unit)


def test_a_domain_without_rules_has_no_limit() -> None:
    port = Port()
    answer = told(port.ask(of("k"), domain="other", hits=99))
    assert answer == {"overallCode": "OK", "statuses": [{"code": "OK"}]}
    assert port.verdicts("unknown") == 1


def test_our_own_domain_is_left_to_its_owner() -> None:
    assert Port().imported.answer(question(of("k"), domain="midstage")) is None


ERRORS: dict[str, tuple[Callable[[], Any], Status, str]] = {
    "no message": (lambda: Port().imported.answer(b"\xff"), Status.INVALID_ARGUMENT, "not a Rate"),
    "no domain": (lambda: Port().ask(of("k"), domain=""), Status.INVALID_ARGUMENT, "domain must"),
    "no descriptor": (lambda: Port().ask(), Status.INVALID_ARGUMENT, "list must not be empty"),
    "no unit": (
        lambda: Port().ask(of("k", limit={"requestsPerUnit": 2})),
        Status.INVALID_ARGUMENT,
        "has a unit",
    ),
    "no room": (lambda: Port(most=0).ask(of("k")), Status.RESOURCE_EXHAUSTED, "0 counters"),
    "no rules": (lambda: Port(rules={}).ask(of("k")), Status.UNAVAILABLE, "no rules are loaded"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_has_no_answer_has_an_error(case: str) -> None:
    ask, status, words = ERRORS[case]
    with pytest.raises(CallError, match=words) as raised:
        ask()
    assert raised.value.status is status


def test_an_error_is_counted_and_charges_nothing() -> None:
    port = Port(most=1)
    port.ask(of("k"))
    with pytest.raises(CallError):
        port.ask(of("k"), of("w"))
    assert port.ask(of("k", hitsAddend=0)).statuses[0].limit_remaining == 9
    assert port.verdicts("failed") == 1


def test_headers_tell_the_limit_that_is_nearest_where_they_are_wanted() -> None:
    port = Port(Telling(headers="x-ratelimit"))
    answer = port.ask(of("k"), of("w"))
    assert {each.key: each.value for each in answer.response_headers_to_add} == {
        "x-ratelimit-limit": "1",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(604_800 - int(NOW_S) % 604_800),
    }
    assert not Port().ask(of("k")).response_headers_to_add
    assert not port.ask(of("free")).response_headers_to_add
    boundless = Port(Telling(headers="x-ratelimit"), rules=rules(ruled("k", 2**32 - 1)))
    assert not boundless.ask(of("k", hitsAddend=0)).response_headers_to_add
    assert boundless.ask(of("k")).response_headers_to_add


def test_metadata_tells_the_question_and_what_is_over_its_quota() -> None:
    port = Port(Telling(metadata=True))
    port.ask(of("q", "a"))
    answer = port.ask(
        of("q", "b", hitsAddend=1),
        of("q", "a"),
        of("c", limit={"requestsPerUnit": 2, "unit": "DAY"}),
        hits=1,
    )
    assert answer.overall_code == 1
    assert told(answer.dynamic_metadata) == {
        "domain": "d",
        "hitsAddend": 1.0,
        "descriptors": [
            {"entries": ["q=b"], "hitsAddend": 1.0},
            {"entries": ["q=a"]},
            {"entries": ["c=v"], "limit": "requests_per_unit:2 unit:DAY"},
        ],
        "quotaModeEnabled": True,
        "quotaModeViolations": [1.0],
    }
    assert not Port().ask(of("k")).HasField("dynamic_metadata")


def model(backend: str, name: str, **more: str) -> dict[str, Any]:
    said = {"backend_name": backend, "model_name_override": name, **more}
    return {"entries": [{"key": key, "value": value} for key, value in said.items()]}


def rules(*descriptors: object) -> object:
    return {"domain": "d", "descriptors": list(descriptors)}


def told_open(*descriptors: dict[str, Any], rules: Sequence[object], hits: int = 1) -> Any:
    port = Port(Telling(metadata=True), rules={"domain": "d", "descriptors": rules})
    port.ask(*descriptors, hits=hits)
    metadata = told(port.ask(*descriptors, hits=hits).dynamic_metadata)
    return {key: metadata[key] for key in ("metadata", "passedBackends") if key in metadata}


def ruled(key: str, requests: int, metadata: object = None, **more: object) -> dict[str, object]:
    limit = {"unit": "day", "requests_per_unit": requests}
    return {"key": key, "rate_limit": limit, "metadata": metadata, **more}


def test_a_carried_limit_of_none_is_told_as_there() -> None:
    asked = of("k", limit={"requestsPerUnit": 0, "unit": "DAY"})
    described = told(Port(Telling(metadata=True)).ask(asked).dynamic_metadata)["descriptors"]
    assert described == [{"entries": ["k=v"], "limit": "unit:DAY"}]


def test_what_files_say_of_a_descriptor_is_told_while_it_is_not_over() -> None:
    rules = [
        ruled("a", 9, {"service": {"name": "one", "weights": [1, 2.5, None, True]}, "zone": "x"}),
        ruled("b", 9, {"service": {"name": "two", "port": 80}, "zone": {"y": 1}}),
        ruled("c", 1, {"over": True}),
        ruled("d", 1, {"shadow": True}, shadow_mode=True),
        ruled("e", 9, {"detailed": True}, detailed_metric=True),
    ]
    assert told_open(of("a"), of("b"), of("c"), of("d"), of("e"), of("none"), rules=rules) == {
        "metadata": {
            "service": {"name": "one", "weights": [1.0, 2.5, None, True], "port": 80.0},
            "zone": "x",
            "shadow": True,
            "detailed": True,
        }
    }
    assert told_open(of("c"), rules=rules) == {}
    assert told_open(of("c"), rules=[ruled("c", 9)]) == {}


def test_models_that_have_quota_left_are_named_once_and_those_whose_group_is_over_are_not() -> None:
    below = ruled("user", 1, {"of": "ann"}, quota_mode=True)
    rules = [
        {"key": "backend_name", "descriptors": [
            ruled("model_name_override", 9, {"of": "all"}, quota_mode=True, descriptors=[below]),
        ]},
    ]  # fmt: skip
    open_ones = told_open(
        model("east", "llama", user="ann"), model("east", "llama"), model("west", "llama"),
        model("west", "llama"), rules=rules,
    )  # fmt: skip
    assert open_ones == {
        "metadata": {"of": "all"},
        "passedBackends": [{"backend_name": "west", "model_name_override": "llama"}],
    }
    assert told_open(model("east", "llama"), rules=rules, hits=10) == {}


def test_a_rule_without_quota_mode_names_no_models() -> None:
    rules = [
        {"key": "backend_name", "descriptors": [ruled("model_name_override", 9, {"of": "all"})]}
    ]
    assert told_open(model("east", "llama"), rules=rules) == {"metadata": {"of": "all"}}


def test_metadata_can_nest_as_deep_as_is_taken() -> None:
    nested: object = "end"
    for level in range(15):
        nested = {"k": nested} if level % 2 else [nested]
    assert told_open(of("a"), rules=[ruled("a", 9, {"k": nested})])["metadata"]["k"]


def test_in_quota_mode_of_all_rules_every_one_that_is_over_is_named() -> None:
    port = Port(Telling(metadata=True, all_quota=True), Options(global_quota=True))
    answer = port.ask(of("k"), of("w"), hits=2)
    assert answer.overall_code == 1
    assert told(answer.dynamic_metadata)["quotaModeViolations"] == [1.0]


def test_a_reload_keeps_the_counters_of_what_it_leaves() -> None:
    port = Port()
    port.ask(of("k"), hits=7)
    changed = {"domain": "d", "descriptors": [LEFT, {"key": "new"}]}
    port.book.load([("file", changed)])
    assert port.ask(of("k", hitsAddend=0)).statuses[0].limit_remaining == 3


def test_questions_that_are_new_each_time_fill_no_memory() -> None:
    port = Port()
    for number in range(KNOWN + 10):
        port.ask(of("none", f"{number}"))
    assert port.imported.known == KNOWN
    few = Port()
    few.ask(of("none", "x" * LONGEST_KNOWN))
    assert few.imported.known == 0
