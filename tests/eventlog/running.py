"""A loop on a thread of its own, as chassis runs it; what it raised is kept for the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Loop(Protocol):
    def run(self, stop: threading.Event) -> None: ...


class Running:
    """``ended`` gives what the loop raised, None where it stopped in order."""

    def __init__(self, loop: Loop) -> None:
        self._stop = threading.Event()
        self._raised: BaseException | None = None
        self._loop = loop
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.ended()

    def ended(self) -> BaseException | None:
        self._thread.join(60)
        assert not self._thread.is_alive(), "the loop does not end"
        return self._raised

    def _run(self) -> None:
        try:
            self._loop.run(self._stop)
        except BaseException as e:  # noqa: BLE001  the test looks at it
            self._raised = e


@contextmanager
def running(loop: Loop) -> Iterator[Running]:
    thread = Running(loop)
    try:
        yield thread
    finally:
        thread.stop()
