"""``midstage hpa tune``: the command that people type, on a series of two days."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from midstage.client.main import build
from midstage.contracts.errors import RefusedError


@pytest.mark.slow
def test_a_policy_for_a_series(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    series = tmp_path / "load.csv"
    rows = [f"{minute * 60},{90 if minute % 720 < 60 else 20}" for minute in range(2880)]
    series.write_text("\n".join(["ts,value", *rows]))
    line = ["hpa", "tune", "--series", str(series), "--warm-up", "0", "--carries", "10"]
    assert CliRunner().invoke(build(), line).exit_code == 0
    assert 5 <= yaml.safe_load(capfd.readouterr().out)["scaling"]["targets"]["requests_per_s"] <= 8


def test_one_past_is_asked_for() -> None:
    assert isinstance(CliRunner().invoke(build(), ["hpa", "tune"]).exception, RefusedError)
