"""A node is emptied under load, as an operator does it: nobody waits, nothing breaks off."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from midstage.local.platform import Platform
from midstage.testkit.waiting import within
from tests.stories.loop import await_settled, pods, put, spec
from tests.stories.steady import steady

REPLICAS = 3
_PAUSE_S = 0.2
"""The machine is shared with the commands that empty the node."""


def a_node_is_emptied(platform: Platform, app: str) -> None:
    """AssertionError where a request breaks off or fewer than ``REPLICAS`` are ever ready."""
    put(platform, app, spec(app, replicas=REPLICAS))
    await_settled(platform, app, replicas=REPLICAS)
    where = Counter(pod.node for pod in pods(platform, app))
    node, _ = where.most_common(1)[0]
    try:
        with (
            steady(platform, app, callers=4, pause_s=_PAUSE_S) as load,
            ready(platform, app) as counts,
        ):
            done = midstage(platform, "drain", node, "--timeout", "240")
            assert done.returncode == 0, done.stderr
            assert f"{node} is empty" in done.stdout
            assert f"{app} is gone from {node}" in done.stderr
            await_settled(platform, app, replicas=REPLICAS)
        assert not any(pod.node == node for pod in pods(platform, app))
        assert min(counts) >= REPLICAS
        assert load.ends.keys() == {"ok"}, load.ends
    finally:
        assert midstage(platform, "uncordon", node).returncode == 0


def midstage(platform: Platform, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            *(sys.executable, "-m", "midstage.client.main", *arguments),
            *("--dir", str(platform.layout.root)),
        ],
        capture_output=True,
        text=True,
        timeout=270,
        check=False,
    )


@contextmanager
def ready(platform: Platform, app: str) -> Iterator[list[int]]:
    """How many replicas are ready, again and again while the block runs."""
    counts: list[int] = []
    over = threading.Event()

    def looked() -> bool:
        counts.append(sum(pod.ready and not pod.draining for pod in pods(platform, app)))
        return over.is_set()

    looking = threading.Thread(target=lambda: within(300, looked, every=0.4), daemon=True)
    looking.start()
    try:
        yield counts
    finally:
        over.set()
        looking.join()
