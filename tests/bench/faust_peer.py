"""Faust as a contestant: a fresh worker and a fresh group for each run, ended after its answer."""

import tempfile
from pathlib import Path

from tests.bench.children import module, running


def rate(mode: str, *, bootstrap: str, topic: str, count: int, directory: Path) -> float:
    """Events a second that a Faust worker says it did; ``mode`` is ``consume`` or ``produce``."""
    data = tempfile.mkdtemp(prefix="faust-", dir=directory)
    log = directory / f"faust-{mode}.log"
    command = module("tests.bench.faust_app", mode, bootstrap, topic, str(count), data)
    with running(command, log=log) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            if line.startswith("rate "):
                return float(line.split()[1])
    raise RuntimeError(f"the Faust worker ended without an answer: see {log}")
