"""Faust as a contestant: a fresh worker and a fresh group for each run, ended after its answer."""

import subprocess
import tempfile
import threading
from pathlib import Path

from tests.bench.children import last_words, module, running
from tests.bench.topics import removed_of

_ANSWER_WITHIN_S = 120.0


def rate(mode: str, *, bootstrap: str, topic: str, count: int, directory: Path) -> float:
    """Events a second that a Faust worker says it did; ``mode`` is ``consume`` or ``produce``."""
    data = tempfile.mkdtemp(prefix="faust-", dir=directory)
    log = directory / f"faust-{mode}.log"
    command = module("tests.bench.faust_app", mode, bootstrap, topic, str(count), data)
    with running(command, log=log) as worker:
        answer = _answer(worker)
    removed_of(bootstrap, Path(data).name)
    if answer is None:
        raise RuntimeError(f"the Faust worker gave no answer: {last_words(log)}")
    return answer


def _answer(worker: "subprocess.Popen[str]") -> float | None:
    """What the worker says; None when it ended, or was ended after too long, without a word."""
    watchdog = threading.Timer(_ANSWER_WITHIN_S, worker.kill)
    watchdog.start()
    try:
        for line in worker.stdout or ():
            if line.startswith("rate "):
                return float(line.split()[1])
    finally:
        watchdog.cancel()
    return None
