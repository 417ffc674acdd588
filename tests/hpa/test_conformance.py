"""The conformance command: what it prints, and that it judges by the stages that evaluate."""

import json
import re
from pathlib import Path

import pytest

from midstage.hpa.conformance.__main__ import main

READY = {"phase": "Running", "ready": True, "age_s": None, "request_m": 1000}
PODS = [{"name": f"p{number}", "metric_m": 600, **READY} for number in range(3)]
METRIC = {"type": "Resource.Utilization(cpu)", "target": {"average_utilization_pct": 30}}
WHOLE = {"current_replicas": 3, "min": 2, "max": 9, "behavior": None}
HPA: list[dict[str, object]] = [
    {
        "id": "proposed",
        "metric_type": METRIC["type"],
        "current_replicas": 3,
        "pods": PODS,
        "target": METRIC["target"],
        "expected": {"replicas": 6, "utilization_pct": 60},
    },
    {
        "id": "whole",
        **WHOLE,
        "metrics": [{**METRIC, "pods": PODS}],
        "expected": {"replicas": 6, "condition": "DesiredWithinRange"},
    },
    {
        "id": "limited",
        **WHOLE,
        "max": 5,
        "metrics": [{**METRIC, "pods": PODS}],
        "expected": {"replicas": 5, "scaling_limited_reason": "TooManyReplicas"},
    },
    {
        "id": "limited by the maximum before the rate",
        **WHOLE,
        "max": 5,
        "metrics": [{**METRIC, "target": {"average_utilization_pct": 10}, "pods": PODS}],
        "expected": {"replicas": 5, "condition": "TooManyReplicas"},
    },
    {
        "id": "held",
        **WHOLE,
        "current_replicas": 8,
        "metrics": [{**METRIC, "pods": PODS}],
        "prior_recommendations": [{"replicas": 8, "age_s": 10}],
        "expected": {"replicas": 8, "able_to_scale_reason": "ScaleDownStabilized"},
    },
    {
        "id": "unknown",
        **WHOLE,
        "current_replicas": 8,
        "metrics": [{**METRIC, "pods": PODS}, {"type": "Object.Value", "error": True}],
        "prior_recommendations": [{"replicas": 9, "age_s": 10}],
        "expected": {"replicas": 8, "scaling_active_reason": "FailedGetObjectMetric"},
    },
    {
        "id": "outside",
        **WHOLE,
        "current_replicas": 20,
        "metrics": [{"type": "unknown"}],
        "expected": {"replicas": 9, "condition": "TooManyReplicas"},
    },
]
SPEC = {
    "target": 10, "panic_threshold": 2, "max_up": 10, "max_down": 10, "stable_window_s": 60
}  # fmt: skip
KPA = [
    {
        "id": "panics",
        "spec": SPEC,
        "steps": [
            {"t_s": 0, "ready_pods": 2, "stable_value": 20, "panic_value": 60, "expected": 6},
            {"t_s": 2, "ready_pods": 6, "stable_value": 20, "panic_value": 20, "expected": 6},
            {"t_s": 63, "ready_pods": 6, "stable_value": 20, "panic_value": 20, "expected": 2},
            {"t_s": 65, "ready_pods": 6, "no_data": True, "expected": None},
        ],
    }
]


def file(folder: Path, cases: object, title: str = "HPA v2 conformance cases") -> str:
    path = folder / "cases.json"
    path.write_text(json.dumps({"meta": {"title": title}, "cases": cases}))
    return str(path)


def test_cases_that_the_engine_decides_alike_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([file(tmp_path, HPA)]) == 0
    assert capsys.readouterr().out == "7 passed, 0 failed\n"
    assert main([file(tmp_path, KPA, "KPA conformance cases")]) == 0
    assert capsys.readouterr().out == "1 passed, 0 failed\n"


def test_each_failing_case_has_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [{**each, "name": "wrong", "expected": {"replicas": 77}} for each in HPA]
    assert main([file(tmp_path, [*wrong, *HPA])]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "7 passed, 7 failed"
    assert lines[0] == "proposed wrong: replicas 77 expected, 6 found"
    assert all(
        re.fullmatch(r"[\w ]+ wrong: replicas 77 expected, \d found", line) for line in lines
    )
    steps = [{**KPA[0], "steps": [{**SPEC, "t_s": 0, "ready_pods": 1, "expected": 3}]}]
    assert main([file(tmp_path, steps, "KPA")]) == 1
    assert "panics: step 1 3 expected, None found" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"meta": {}, "cases": [{}]}'])
def test_a_file_that_can_not_be_read_is_no_success(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cases.json"
    path.write_text(content)
    assert main([str(path)]) == 2
    assert main([str(tmp_path / "none.json")]) == 2
    assert "can't be read" in capsys.readouterr().err
