"""What pods wrote: one file for each run of each pod, the newest kept for a while after its end."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from midstage.local.lastwords import last_words

_PIECE = 64 * 1024
_TAIL_BYTES = 1024 * 1024
_KEPT = 200
_MOST_BYTES = 32 * 1024 * 1024
_LOOK_S = 0.2


class PodLogs:
    """The files of one cluster's pods under ``folder``."""

    def __init__(self, folder: Path, *, most_bytes: int = _MOST_BYTES, kept: int = _KEPT) -> None:
        """Make the folder; logs of before are kept as long as there is room."""
        self._most_bytes = most_bytes
        self._kept = kept
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._runs: dict[str, int] = {}

    def begin(self, pod: str, *, run: int | None = None) -> Path:
        """The file of the pod's next run, or of the one with that number."""
        self._runs[pod] = self._runs.get(pod, 0) + 1 if run is None else run
        return self._file(pod, self._runs[pod])

    def run(self, pod: str) -> int:
        """The number of its newest run, from 1 on; 0: it had none."""
        return self._runs.get(pod, 0)

    def had(self, pod: str, run: int) -> bool:
        """Whether there is a log of that run."""
        return self._file(pod, run).exists()

    def gone(self, pod: str) -> None:
        """The pod is gone: its files go when there are many newer ones."""
        self._runs.pop(pod, None)
        files = sorted(self._folder.glob("*.log"), key=lambda file: file.stat().st_mtime)
        for file in files[: max(0, len(files) - self._kept)]:
            file.unlink(missing_ok=True)

    def trim(self, pod: str) -> None:
        """A log that has grown too long begins anew; what runs goes on writing at its end."""
        file = self._file(pod, self.run(pod))
        with suppress(FileNotFoundError):
            if file.stat().st_size > self._most_bytes:
                os.truncate(file, 0)

    def last_lines(self, pod: str) -> str:
        """The last lines of the newest run, each after a line break; empty where there is none."""
        _, lines, rest = last_words(self._file(pod, self.run(pod))).partition("\n")
        return lines + rest

    def tail(self, pod: str, *, most: int, lines: int) -> str:
        """The end of the newest run: at most ``lines``, and ``most`` bytes."""
        run = self.run(pod)
        begin = max(0, self._size(pod, run) - most)
        text = self._piece(pod, run, begin, most=most).decode(errors="replace")
        return "".join(text.splitlines(keepends=True)[-lines:])

    async def written(
        self, pod: str, run: int, *, tail: int | None, goes_on: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """What the run wrote, from the last ``tail`` lines on, while ``goes_on`` what it writes."""
        at = self._begin_of_tail(pod, run, tail)
        while True:
            last = not goes_on()
            at = 0 if at > self._size(pod, run) else at  # it was trimmed
            while piece := self._piece(pod, run, at):
                at += len(piece)
                yield piece
            if last:
                return
            await asyncio.sleep(_LOOK_S)

    def _begin_of_tail(self, pod: str, run: int, tail: int | None) -> int:
        file = self._file(pod, run)
        if tail is None or not file.exists():
            return 0
        size = file.stat().st_size
        begin = max(0, size - _TAIL_BYTES)
        lines = self._piece(pod, run, begin, most=_TAIL_BYTES).splitlines(keepends=True)
        return size - sum(map(len, lines[len(lines) - min(tail, len(lines)) :]))

    def _size(self, pod: str, run: int) -> int:
        file = self._file(pod, run)
        return file.stat().st_size if file.exists() else 0

    def _piece(self, pod: str, run: int, at: int, *, most: int = _PIECE) -> bytes:
        try:
            with self._file(pod, run).open("rb") as file:
                file.seek(at)
                return file.read(most)
        except FileNotFoundError:
            return b""

    def _file(self, pod: str, run: int) -> Path:
        return self._folder / f"{pod}.{run}.log"
