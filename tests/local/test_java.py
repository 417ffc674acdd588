"""Kafka's Java takes its classes from the cache, and does without them where they don't fit."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from midstage.local import java, kafka
from midstage.local.errors import PlatformError

TOOL = ("kafka.tools.StorageTool", "random-uuid")


@pytest.mark.slow
@pytest.mark.platform
def test_classes_come_from_the_cache_and_are_not_needed(tmp_path: Path) -> None:
    program = kafka.fetched()
    assert ran(program, "-XX:AOTMode=on") == 0  # refuses to start where it can't use the cache
    broken = tmp_path / "classes.aot"
    broken.write_bytes(b"no classes")
    useless = [f"-XX:AOTCache={broken}" if "AOTCache" in each else each for each in program]
    assert ran(useless, "-XX:AOTMode=on") != 0
    assert ran(useless) == 0


def ran(program: Sequence[str], *options: str) -> int:
    command = [*program[:-2], *options, *program[-2:], *TOOL]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_a_run_that_leaves_no_classes_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIDSTAGE_CACHE", str(tmp_path))
    plain = java.command(tmp_path)
    asked: list[Sequence[str]] = []

    def warm(program: Sequence[str]) -> None:
        asked.append(program)
        raise PlatformError("Kafka ended with 1")

    for _ in range(2):
        assert java.warmed(plain, name="a", warm=warm, say=lambda _: None) == plain
    assert len(asked) == 1
    assert any("AOTCacheOutput" in option for option in asked[0])
