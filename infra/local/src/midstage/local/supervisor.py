"""Child processes kept alive: started on a leash, restarted when they die, stopped within a time.

One thread starts and reaps all of them, for a child on a leash dies with the thread that started
it. Each child has a session of its own, so Ctrl-C in the terminal reaches only this process.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from midstage.local import lifecycle
from midstage.local.errors import PlatformError
from midstage.local.lastwords import last_words
from midstage.local.leash import leashed
from midstage.local.lifecycle import Life, State
from midstage.local.memory import Memory

_TICK_S = 0.05
_HOPELESS_AFTER = 3
"""Deaths in a row before it was ever ready after which a start is given up."""
_KILLED_WITHIN_S = 1.0
_OVER = "the supervisor's thread has ended: its children are gone"


def nothing_before() -> None:
    """Nothing to do before a start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """How to run one process; ``before`` is called before each start, ``unready`` says why not.

    ``stdout`` takes what it prints, None: the log does.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] = nothing_before
    unready: Callable[[], str | None] = lambda: None
    restarted: bool = True
    stdout: Path | None = None


@dataclass(slots=True)
class _Running:
    child: Child
    life: Life
    process: "subprocess.Popen[bytes] | None" = None


class Supervisor:
    """The table of children; ``say`` hears one line for each restart."""

    def __init__(self, *, logs: Path, say: Callable[[str], None]) -> None:
        """Start the keeping thread; ``logs`` gets one file for each child, appended to."""
        self._logs = logs
        self._say = say
        self._table: dict[str, _Running] = {}
        self._changed = threading.Condition()
        self._memory = Memory()
        self._over = False
        logs.mkdir(parents=True, exist_ok=True)
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._keeper.start()

    def start(self, child: Child) -> None:
        """Run ``child`` from now on; at once, but not yet ready."""
        with self._changed:
            known = self._table.get(child.name)
            if known is not None and known.life.state is not State.ENDED:
                raise ValueError(f"{child.name} runs already")
            life = lifecycle.born(time.monotonic())
            self._table[child.name] = _Running(child, life)
            self._changed.notify_all()

    def await_ready(
        self, name: str, *, within_s: float, unready: Callable[[], str | None] | None = None
    ) -> None:
        """Return once the child serves; PlatformError with its last words when it does not.

        ``unready`` asks for something else than that it is ready.
        """
        deadline = time.monotonic() + within_s
        while (reason := self._reason(name, unready)) is not None:
            life = self.life(name)
            if life.state is State.ENDED or life.in_a_row >= _HOPELESS_AFTER:
                raise PlatformError(f"{name} ended with {life.exit_code}: {self.last_words(name)}")
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"{name} is not ready after {within_s:.0f} s ({reason}):"
                    f" {self.last_words(name)}"
                )
            self._pause(_TICK_S)

    def await_end(self, name: str, *, within_s: float) -> int | None:
        """The exit code once the child has ended for good; None when it still runs."""
        deadline = time.monotonic() + within_s
        while (life := self.life(name)).state is not State.ENDED:
            if time.monotonic() > deadline:
                return None
            self._pause(_TICK_S)
        return life.exit_code

    def stop(self, names: Sequence[str], *, within_s: float) -> None:
        """End these together: SIGTERM, and SIGKILL for who still runs after ``within_s``."""
        self._ask_to_stop(names)
        deadline = time.monotonic() + within_s
        for name in names:
            self.await_end(name, within_s=max(0.0, deadline - time.monotonic()))
        for name in names:
            self._kill_if_stopping(name)
        for name in names:
            self.await_end(name, within_s=max(within_s, _KILLED_WITHIN_S))

    def kill(self, name: str, sig: signal.Signals) -> int:
        """Send a signal as if from outside (a dead child is restarted); the pid that got it."""
        with self._changed:
            process = self._table[name].process
            if process is None or process.poll() is not None:
                raise PlatformError(f"{name} does not run now")
            process.send_signal(sig)
            return process.pid

    def await_over(self) -> None:
        """Return never, but raise PlatformError when the keeping thread has ended.

        Not by ``Thread.join``: one that Ctrl-C interrupts takes a running thread for an ended one.
        """
        self._ended.wait()
        raise PlatformError(_OVER)

    def close(self, *, within_s: float = 1.0) -> None:
        """Stop whoever is left, and the keeping thread."""
        self.stop(list(self._table), within_s=within_s)
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._keeper.join()

    def life(self, name: str) -> Life:
        """Where the child is in its life."""
        if self._ended.is_set():
            raise PlatformError(_OVER)
        return self._table[name].life

    def lives(self) -> Mapping[str, Life]:
        """All children's lives."""
        with self._changed:
            return {name: entry.life for name, entry in self._table.items()}

    def pid(self, name: str) -> int | None:
        """The process id, None while it does not run."""
        process = self._table[name].process
        return process.pid if process is not None and process.poll() is None else None

    def peak_rss_mb(self) -> float:
        """The highest sum over this process and all children, of one look each second."""
        return self._memory.peak_mb

    def child(self, name: str) -> Child:
        """How the process is run."""
        return self._table[name].child

    def log(self, name: str) -> Path:
        """The file that takes what the child writes."""
        return self._logs / f"{name}.log"

    def last_words(self, name: str) -> str:
        """The end of the child's log, and its file's name."""
        return last_words(self.log(name))

    def _reason(self, name: str, unready: Callable[[], str | None] | None) -> str | None:
        if self.life(name).state is not State.RUNNING:
            return "it does not run"
        return (unready or self._table[name].child.unready)()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait(seconds)

    def _ask_to_stop(self, names: Sequence[str]) -> None:
        now = time.monotonic()
        with self._changed:
            for name in names:
                entry = self._table[name]
                entry.life = lifecycle.stopping(entry.life, now)
                if entry.process is not None and entry.life.state is State.STOPPING:
                    entry.process.terminate()

    def _kill_if_stopping(self, name: str) -> None:
        """It may have ended by itself since its time was over."""
        with self._changed:
            entry = self._table[name]
            if entry.life.state is State.STOPPING and entry.process is not None:
                entry.process.kill()  # harmless to one that has ended and was not reaped yet

    def _run(self) -> None:
        try:
            self._keep()
        finally:
            self._ended.set()

    def _keep(self) -> None:
        with self._changed:
            while not self._over:
                now = time.monotonic()
                for entry in list(self._table.values()):
                    self._reap(entry, now)
                    if lifecycle.is_due(entry.life, now):
                        self._spawn(entry, now)
                self._memory.look(now)
                self._changed.wait(_TICK_S)

    def _spawn(self, entry: _Running, now: float) -> None:
        child = entry.child
        child.before()
        log = self.log(child.name)
        with log.open("ab") as errors, (child.stdout or log).open("ab") as output:
            entry.process = subprocess.Popen(
                leashed(child.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**os.environ, **child.env},
                start_new_session=True,
            )
        entry.life = lifecycle.started(entry.life, now)
        self._changed.notify_all()

    def _reap(self, entry: _Running, now: float) -> None:
        if entry.process is None or (code := entry.process.poll()) is None:
            return
        entry.process = None
        entry.life = lifecycle.died(
            entry.life, now, exit_code=code, restarted=entry.child.restarted
        )
        if entry.life.state is State.WAITING:
            self._say(
                f"{entry.child.name} {_how(code)} and is restarted in"
                f" {entry.life.due - now:.1f} s: see {self.log(entry.child.name)}"
            )
        self._changed.notify_all()


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
