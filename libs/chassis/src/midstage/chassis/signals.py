"""SIGTERM and SIGINT go to one function while a process runs, and back to whom they were after."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def handed_to(signalled: Callable[[str], None]) -> Iterator[None]:
    """Hand SIGTERM and SIGINT to ``signalled``; outside the main thread nobody can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  signal's signature
        signalled(signal.Signals(number).name)

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
