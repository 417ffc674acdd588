"""The conformance command: what it prints, and that it judges by the engine that serves."""

import json
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import pytest

from midstage.limits import circuit, headers
from midstage.throttle.conformance.__main__ import main
from midstage.throttle.decide import charging, failing, leasing, reserving
from midstage.throttle.decide.imported import counting, matching
from midstage.throttle.decide.meters import bucket, gcra, leaky, sliding, slots, window

RULE = {"unit": "minute", "requests_per_unit": 2}
CONFIG = {"domain": "d", "descriptors": [{"key": "k", "value": "a*", "rate_limit": RULE}]}
ASK = [[["k", "ab"]]]
WINDOW = {"limit": 3, "window_s": 60}
CASES: list[dict[str, object]] = [
    {"id": "match", "group": "descriptor_match", "config_ref": "SOME",
     "request": {"domain": "d", "entries": [["k", "ab"]]},
     "expect": {"limit": [2, "minute"], "metric": "d.k_a*"}},
    {"id": "count", "group": "fixed_window", "config": CONFIG, "options": {"headers": True},
     "steps": [
        {"at": 5, "descriptors": ASK, "hits": 2,
         "expect": {"statuses": [{"code": "OK", "remaining": 0, "reset_s": 55}]}},
        {"at": 6, "descriptors": ASK, "expect": {"overall": "OVER_LIMIT"},
         "expect_stats": {"total_hits": 3, "over_limit": 1, "near_limit": 1}},
     ],
     "expect_headers": {"RateLimit-Limit": "2", "RateLimit-Reset": "54"}},
    {"id": "valid", "group": "validation", "config": {"domain": ""},
     "expect": {"error_contains": "empty domain"}},
    {"id": "token", "group": "bucket", "base": {"algorithm": "TOKEN", "limit": 2, "duration_ms": 5},
     "steps": [{"hits": 2, "status": "UNDER_LIMIT", "remaining": 0},
               {"hits": 1, "status": "OVER_LIMIT", "remaining": 0, "then_sleep_ms": 5},
               {"hits": 1, "status": "UNDER_LIMIT", "remaining": 1}]},
    {"id": "leaky", "group": "bucket",
     "base": {"algorithm": "LEAKY", "limit": 2, "duration_ms": 10},
     "steps": [{"hits": 2, "status": "UNDER_LIMIT", "remaining": 0, "then_sleep_ms": 5},
               {"hits": 1, "status": "UNDER_LIMIT", "remaining": 0},
               {"hits": 1, "status": "OVER_LIMIT", "remaining": 0}]},
    {"id": "gcra", "group": "gcra", "base": {"emission_interval_ms": 1000, "limit": 2},
     "steps": [{"at_ms": 0, "quantity": 2, "remaining": 0, "reset_after_ms": 2000, "limited": False,
                "retry_after_ms": None},
               {"at_ms": 500, "quantity": 1, "limited": True, "retry_after_ms": 500}]},
    {"id": "moving", "group": "moving_window", "base": WINDOW,
     "steps": [{"at": 0, "n": 3, "allow": True}, {"at": 59, "allow": False, "remaining": 0},
               {"at": 60, "cost": 3, "allow": True}]},
    {"id": "sliding", "group": "sliding_counter",
     "base": {**WINDOW, "prev": 2, "cur": 1, "elapsed_s": 30},
     "expect": {"weighted": 2, "allow": True}},
    {"id": "first hit", "group": "fixed_from_first_hit", "base": WINDOW,
     "steps": [{"at": 45, "n": 3, "allow": True}, {"at": 104, "allow": False},
               {"at": 105, "n": 3, "allow": True}]},
    {"id": "edges", "group": "sliding_vs_edge", "base": {"limit": 100, "window_s": 1},
     "expect": {"fixed": 200, "log": 100, "counter_aligned": 110}},
    {"id": "apportion", "group": "apportion", "algorithm": "FAIR_SHARE", "capacity": 10,
     "preloaded": True, "expect": {"invariant": "sum(has) <= capacity"},
     "clients": [{"id": "a", "wants": 9, "gets": 8}, {"id": "b", "wants": 2, "gets": 2}]},
    {"id": "settle", "group": "reserve_settle", "base": {**WINDOW, "concurrency": 1},
     "steps": [{"op": "reserve", "id": "a", "units": 2, "allow": True, "remaining": 1},
               {"op": "start", "id": "b", "allow": False, "by": "concurrency"},
               {"op": "settle", "id": "a", "units": 1, "remaining": 2},
               {"op": "settle", "id": "a", "units": 1, "remaining": 2},
               {"op": "start", "id": "c", "allow": True, "remaining": 1}]},
    {"id": "slots", "group": "reserve_settle", "base": {"concurrency": 2},
     "steps": [{"op": "acquire", "n": 2, "allow": True}, {"op": "acquire", "allow": False},
               {"op": "release", "n": 1}, {"op": "acquire", "allow": True, "remaining": 0}]},
    {"id": "shares", "group": "failure", "base": {"limit": 10, "replicas": 3, "parallel_calls": 30},
     "expect": {"max_admitted_total": 10, "admitted": 10}},
    {"id": "header", "group": "headers", "base": {"policy": "p", "remaining": 1, "reset_s": 1.5},
     "expect": {"RateLimit": '"p";r=1;t=2', "Retry-After_min": 2, "w_min": 1}},
    {"id": "breaker", "group": "circuit_breaker",
     "base": {"type": "COUNT", "window": 2, "min_calls": 2, "failure_rate": 50},
     "steps": [{"outcomes": "S", "state": "CLOSED"}, {"outcomes": "F", "state": "OPEN"},
               {"at": 60, "state": "HALF_OPEN"}]},
    {"id": "nothing", "group": "gcra", "base": {"emission_interval_ms": 1000, "limit": 2},
     "steps": [{"at_ms": 0, "quantity": 2, "limited": False},
               {"at_ms": 0, "quantity": 0, "limited": False, "retry_after_ms": None}]},
    {"id": "at once", "group": "bucket",
     "base": {"algorithm": "TOKEN", "limit": 10, "duration_ms": 0},
     "steps": [{"hits": 1, "status": "UNDER_LIMIT", "remaining": 9}]},
]  # fmt: skip


def file(folder: Path, cases: object) -> str:
    path = folder / "cases.json"
    path.write_text(json.dumps({"about": "these", "configs": {"SOME": CONFIG}, "cases": cases}))
    return str(path)


def test_cases_that_the_engine_decides_alike_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([file(tmp_path, CASES)]) == 0
    assert capsys.readouterr().out == f"{len(CASES)} passed, 0 failed\n"


def test_each_failing_case_has_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [
        {**CASES[0], "title": "wrong", "expect": {"limit": None}},
        {**CASES[3], "steps": [{"hits": 1, "remaining": 5}]},
        {**CASES[9], "expect": {"spilt": 3}},
        {"id": "new", "group": "telepathy"},
        {"id": "bare", "group": "gcra"},
        {**CASES[0], "id": "lost", "config_ref": "NONE"},
        {
            **CASES[6],
            "id": "no time",
            "group": "sliding_counter",
            "base": {"limit": 1, "window_s": 0},
        },
    ]
    assert main([file(tmp_path, [*wrong, *CASES])]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == f"{len(CASES)} passed, {len(wrong)} failed"
    assert lines[0].startswith("match wrong: limit None expected, (2, ")
    assert lines[1] == "token: step 1: remaining 5 expected, 1 found"
    assert lines[2:] == [
        "edges: can't be judged: spilt is an expectation that this judge does not know",
        "new: group 'telepathy' is not known",
        "bare: can't be judged: Object missing required field `base`",
        "lost: can't be judged: there is no config 'NONE'",
        "no time: can't be judged: integer modulo by zero",
    ]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cases": [{}]}', '{"cases": {"id": "a"}}'])
def test_a_file_that_can_not_be_read_is_no_success(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cases.json"
    path.write_text(content)
    assert main([str(path)]) == 2
    assert main([str(tmp_path / "none.json")]) == 2
    assert "can't be read" in capsys.readouterr().err


def passes(*_: object, **__: object) -> bool:
    return True


MUTATIONS: Mapping[str, tuple[object, str, Callable[..., object]]] = {
    "no wildcard fits": (matching, "fits", lambda *_: False),
    "refused hits are free": (counting.Counters, "_charged", lambda *_: [0]),
    "a fixed window never refuses": (window.Window, "take", passes),
    "a leaky bucket never refuses": (leaky.LeakyBucket, "take", passes),
    "GCRA never refuses": (gcra.Gcra, "take", passes),
    "GCRA waits a nanosecond too little": (gcra.Gcra, "wait_ns", lambda *_: 1),
    "the log forgets nothing": (sliding.MovingWindow, "_come_to", lambda *_: None),
    "the last window weighs nothing": (
        sliding.SlidingCounter, "weighted", lambda self, _: self.current
    ),
    "a window begins at the epoch": (window.FirstHitWindow, "period", lambda *_: (0, 1)),
    "what was taken before a refusal is kept": (charging, "_give_back", lambda *_: None),
    "slots are never free": (slots.Slots, "release", passes),
    "every lease is what is wanted": (leasing.Leases, "free_for", lambda *_: Fraction(10**6)),
    "nothing is ever settled": (reserving.Reservations, "settle", lambda *_: None),
    "each replica has the whole": (failing, "share", lambda most, **_: most),
    "seconds are rounded down": (headers, "seconds_up", lambda time_ns: time_ns // 10**9),
    "a breaker never opens": (circuit.Breaker, "_at_threshold", lambda _: False),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_an_engine_that_decides_otherwise_fails(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where, what, otherwise = MUTATIONS[name]
    cases = file(tmp_path, CASES)
    original = getattr(where, what)
    monkeypatch.setattr(where, what, otherwise)
    for module in list(sys.modules.values()):
        if getattr(module, what, None) is original and original is not None:
            monkeypatch.setattr(module, what, otherwise)
    assert main([cases]) == 1, name
    assert " 0 failed" not in capsys.readouterr().out.splitlines()[-1]


def test_the_bucket_that_serves_is_the_one_that_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filling = {"bucket": {"capacity": 2, "refill_per_s": 1}}
    steps = [{"op": "reserve", "units": 2, "allow": True}, {"op": "reserve", "allow": False}]
    cases = [{"id": "serving", "group": "reserve_settle", "base": filling, "steps": steps}]
    assert main([file(tmp_path, cases)]) == 0
    monkeypatch.setattr(bucket.TokenBucket, "take", passes)
    assert main([file(tmp_path, cases)]) == 1
