"""Ends the making of a file that grows too large, or that has to stop with the process."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from midstage.contracts.errors import RefusedError

_EACH_S = 0.1


class StoppedError(Exception):
    """The process stops; what was begun is begun anew by the next one."""


class Watch:
    """While it is entered, a question that writes ``draft`` is interrupted where it must end."""

    def __init__(
        self,
        draft: Path,
        *,
        most_bytes: int,
        stopped: Callable[[], bool],
        interrupt: Callable[[], None],
    ) -> None:
        """Let ``draft`` grow to ``most_bytes``."""
        self._draft = draft
        self._most_bytes = most_bytes
        self._stopped = stopped
        self._interrupt = interrupt
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Look no more; what was interrupted is raised as the reason why."""
        self._done.set()
        self._thread.join()
        if isinstance(raised, duckdb.InterruptException):
            self.check()

    def check(self) -> None:
        """RefusedError when the file is too large, StoppedError when the process stops."""
        if self._stopped():
            raise StoppedError
        if self._bytes() > self._most_bytes:
            raise RefusedError(
                f"the file would have more than the {self._most_bytes} bytes that are left for "
                "downloads; narrow it, or delete others"
            )

    def _look(self) -> None:
        while not self._done.wait(_EACH_S):
            if self._stopped() or self._bytes() > self._most_bytes:
                self._interrupt()

    def _bytes(self) -> int:
        try:
            return self._draft.stat().st_size
        except FileNotFoundError:
            return 0
