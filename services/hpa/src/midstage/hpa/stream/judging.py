"""Other processes that make evaluations again, a chunk of records at a time.

They import the engine alone, leave the processor to whoever decides on this machine, and end with
the one that started them, however that ended: their connection closes. What comes of the chunks is
told in their order. One of them that dies ends it all with an UnavailableError.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing.connection import Connection, Pipe, wait
from threading import Lock
from typing import Final

from midstage.contracts.errors import UnavailableError
from midstage.hpa.views.replays import Replayed, Which

Task = tuple[Callable[[Sequence[bytes], Which], Replayed], Sequence[bytes]]
"""A chunk, and what makes it again: a function that is found by its module and name."""
_NICEST: Final = 19
_DYING_S: Final = 5.0


class Judges:
    """So many ``processes``, for one replay at a time: whoever asks meanwhile is refused."""

    def __init__(self, processes: int) -> None:
        """None is started before the first chunk."""
        self._processes = processes
        self._taken = Lock()

    def judged(self, tasks: Iterable[Task], which: Which) -> Generator[Replayed, None, None]:
        """What becomes of each, in their order; each process has one, and one more is read ahead.

        UnavailableError: another replay has them, or one of them died.
        """
        if not self._taken.acquire(blocking=False):
            raise UnavailableError("another replay is being made here; ask again when it is over")
        try:
            with closing(_Sitting(self._processes)) as sitting:
                for task in tasks:
                    sitting.give(task, which)
                    yield from sitting.told()
                while sitting.waits():
                    sitting.hear()
                    yield from sitting.told()
        finally:
            self._taken.release()


class _Judge:
    """One process, and the connection to it."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        with theirs:
            self._process = _started(theirs.fileno())

    def give(self, task: Task, which: Which) -> None:
        with self._alive():
            self.connection.send((task, which))

    def answer(self) -> Replayed:
        with self._alive():
            found: Replayed = self.connection.recv()
            return found

    def close(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.wait()

    @contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as e:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING_S)
            raise UnavailableError(_died(self._process.returncode)) from e


class _Sitting:
    """One replay's judges: each has at most one task, so none waits to be heard while it reads."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._all = ExitStack()
        self._idle: list[_Judge] = []
        self._busy: dict[Connection, tuple[int, _Judge]] = {}
        self._answers: dict[int, Replayed] = {}
        self._given = 0
        self._told = 0

    def give(self, task: Task, which: Which) -> None:
        """To one that is idle; all are started at the first task, for each takes a moment."""
        if not self._given:
            self._idle += [
                self._all.enter_context(closing(_Judge())) for _ in range(self._processes)
            ]
        while not self._idle:
            self.hear()
        judge = self._idle.pop()
        judge.give(task, which)
        self._busy[judge.connection] = (self._given, judge)
        self._given += 1

    def waits(self) -> bool:
        """Whether a task's answer is still to come."""
        return bool(self._busy)

    def hear(self) -> None:
        """Wait for an answer at least."""
        ready = wait(self._busy)
        for connection in [each for each in self._busy if each in ready]:
            number, judge = self._busy.pop(connection)
            self._answers[number] = judge.answer()
            self._idle.append(judge)

    def told(self) -> Iterator[Replayed]:
        """The answers whose turn it is."""
        while self._told in self._answers:
            self._told += 1
            yield self._answers.pop(self._told - 1)

    def close(self) -> None:
        """End them all, whatever they are at."""
        self._all.close()


def _started(handed: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-m", __name__, str(handed)],
            pass_fds=[handed],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the one that started it
        )
    except OSError as e:
        raise UnavailableError(f"no process to make evaluations again could be started: {e}") from e


def _died(code: int | None) -> str:
    how = "hangs" if code is None else f"ended with {code}"
    if code is not None and code < 0:
        how = f"was killed by {signal.Signals(-code).name}; is there too little memory?"
    return f"a process that makes evaluations again {how}"


def serve(connection: Connection) -> None:
    """Work on what comes, until the other end is closed."""
    with connection, suppress(EOFError, ConnectionError):
        while True:
            (work, chunk), which = connection.recv()
            connection.send(work(chunk, which))


if __name__ == "__main__":
    os.nice(_NICEST)
    serve(Connection(int(sys.argv[1])))
