"""A ledger that somebody else holds: only a stats on this very file is ended for it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from midstage.contracts.errors import UnavailableError
from midstage.stats.adapters.owner import owned
from midstage.stats.adapters.schema import HeldError, opened

HOLDS = """
import sys, duckdb
held = duckdb.connect(sys.argv[-1])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(file: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, *words, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("pid", [None, os.getpid()])
def test_a_holder_that_is_unknown_or_this_process_itself_is_not_ended(
    tmp_path: Path, pid: int | None
) -> None:
    def opens() -> None:
        raise HeldError("it is held", pid=pid)

    with pytest.raises(HeldError, match=r"^it is held$"):
        owned(opens, tmp_path / "usage.duckdb", take_over=True)


@pytest.mark.slow
def test_whatever_is_no_stats_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    with holder(file) as other:
        with pytest.raises(UnavailableError, match=f"pid {other.pid}.*left alone"):
            owned(lambda: opened(file, memory_mb=64), file, take_over=True)
        assert other.poll() is None


@pytest.mark.slow
def test_a_stats_of_another_file_is_left_alone_whatever_its_number(tmp_path: Path) -> None:
    """As where the holder is of another machine or container: its number means somebody else."""
    with holder(tmp_path / "other.duckdb", "midstage.stats.main") as other:

        def opens() -> None:
            raise HeldError("it is held", pid=other.pid)

        with pytest.raises(UnavailableError, match="left alone"):
            owned(opens, tmp_path / "usage.duckdb", take_over=True)
        assert other.poll() is None


@pytest.mark.slow
def test_a_stats_of_this_file_is_ended_and_the_ledger_opened(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    with holder(file, "midstage.stats.main") as other:
        with pytest.raises(HeldError):
            owned(lambda: opened(file, memory_mb=64), file, take_over=False)
        assert other.poll() is None
        owned(lambda: opened(file, memory_mb=64), file, take_over=True).close()
        assert other.wait(60) == -9
