"""The bench runs, beside its peers on one broker, and leaves figures that agree with themselves."""

import json
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.bench import loading

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.platform]


@pytest.fixture(scope="module")
def out(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that a smoke run of the log's races has written."""
    directory = tmp_path_factory.mktemp("bench")
    done = _bench("eventlog", "versions", "--quick", "--kafka", kafka, "--out", str(directory))
    assert done.returncode == 0, done.stderr
    assert "produce" in done.stdout
    return directory


def test_each_contestant_stands_beside_both_peers(out: Path) -> None:
    figures = _figures(out)
    beside = {(each["measure"], each["contestant"]): set(each["ratios"]) for each in figures}
    peers = {"bare confluent-kafka", "faust-streaming"}
    assert beside["produce", "midstage"] == peers
    assert beside["consume, decode, fold", "midstage"] == peers
    assert beside["consume, decode, fold", "midstage, each number once"] == peers
    assert beside["append and read back, p99", "midstage execute"] == {"bare confluent-kafka"}


def test_medians_and_ratios_follow_from_the_rounds(out: Path) -> None:
    figures = _figures(out)
    medians = {(each["measure"], each["contestant"]): each["median"] for each in figures}
    for each in figures:
        assert each["rounds"] == len(each["values"]) > 0
        assert each["min"] > 0
        assert each["median"] == median(each["values"])
        for peer, ratio in each["ratios"].items():
            assert ratio == pytest.approx(each["median"] / medians[each["measure"], peer])


def test_the_loop_s_own_races_run_too(kafka: str, tmp_path: Path) -> None:
    groups = ("control", "hpa", "seen", "checks-many")
    done = _bench(*groups, "--quick", "--kafka", kafka, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = {(each["group"], each["contestant"]) for each in _figures(tmp_path)}
    assert {("control", "midstage control"), ("hpa", "midstage evaluate")} <= found
    assert {("seen", "midstage stats"), ("seen", "SQLite"), ("seen", "Python set")} <= found
    assert {("checks-many", "50 × 3 of 1,000"), ("checks-many", "50,000 × 1 of 1")} <= found


def test_the_machine_is_described_but_not_named(out: Path) -> None:
    machine = json.loads((out / "results.json").read_text())["machine"]
    assert machine["Python"] == platform.python_version()
    assert {"cores", "Kafka", "Envoy", "confluent-kafka", "faust-streaming"} <= set(machine)
    written = (out / "results.json").read_text() + (out / "results.md").read_text()
    assert str(ROOT) not in written
    assert platform.node() not in machine.values()


def test_an_unknown_group_is_refused_by_name() -> None:
    done = _bench("warp")
    assert done.returncode == 2
    assert "warp" in done.stderr
    assert "eventlog" in done.stderr


def test_checks_are_not_measured_by_limits_that_somebody_else_has_set(kafka: str) -> None:
    done = _bench("checks", "eventlog", "--kafka", kafka)
    assert done.returncode == 2
    assert "leave checks out" in done.stderr


def test_a_program_that_is_not_there_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "h2load"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert loading.missing("h2load") is None
    absent = loading.missing("h2load", "redis-server")
    assert absent is not None
    assert "redis-server" in absent
    assert "nghttp2" not in absent


def _bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1000,
    )


def _figures(out: Path) -> list[dict[str, Any]]:
    figures: list[dict[str, Any]] = json.loads((out / "results.json").read_text())["figures"]
    return figures
