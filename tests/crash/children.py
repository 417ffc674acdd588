"""The processes of a crash run: each dies by an order or by kill -9, and is started again.

Everything is started by the thread that runs the whole, since children are bound to it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from midstage.local.kafka import prepare, unready
from midstage.local.leash import leashed
from midstage.local.ports import LOOPBACK, found
from midstage.testkit.kill import ordered
from midstage.testkit.waiting import within

ROOT = Path(__file__).resolve().parents[2]
BROKER_WITHIN_S = 180.0
ENDS_WITHIN_S = 60.0


@dataclass(kw_only=True)
class Child:
    """One program after the other under one name; ``ends`` are the exit codes so far."""

    name: str
    folder: Path
    module: str
    env: Mapping[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    ends: list[int] = field(default_factory=list)

    @property
    def order(self) -> Path:
        """The file that says where to die."""
        return self.folder / "order"

    @property
    def stop_order(self) -> Path:
        """The file that says where to stop."""
        return self.folder / "stop"

    def start(self) -> None:
        """Start it; its words go to a file in its folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        killing = [
            *(sys.executable, "-m", "midstage.testkit.kill"),
            *("--order", str(self.order), "--stop", str(self.stop_order)),
        ]
        with (self.folder / "log.txt").open("ab") as words:
            self.process = subprocess.Popen(
                leashed([*killing, "--", self.module]),
                stdout=words,
                stderr=words,
                cwd=ROOT,
                env={**os.environ, **self.env},
            )

    def tended(self) -> None:
        """Start it again where it has ended."""
        if self.process is not None and (code := self.process.poll()) is not None:
            self.ends.append(code)
            self.start()

    def killed(self) -> None:
        """Kill it with -9 now, and start it again."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.tended()

    def order_death(self, place: str, *, after_s: float) -> None:
        """Let it die at the place."""
        ordered(self.order, place, after_s=after_s)

    def stopped(self) -> bool:
        """Whether it stands still (SIGSTOP)."""
        assert self.process is not None
        state = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "T"

    def succeeded(self) -> "subprocess.Popen[bytes]":
        """Start a successor beside the one that stands still, which is given."""
        assert self.process is not None
        zombie = self.process
        self.start()
        return zombie

    def ended(self, sent: signal.Signals) -> int:
        """Let it end by the signal, or by kill -9 where it does not; its exit code."""
        assert self.process is not None
        self.process.send_signal(sent)
        try:
            code = self.process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = None
        return code

    def words(self) -> str:
        """The end of what it said."""
        return (self.folder / "log.txt").read_text(errors="replace")[-2000:]


class Broker:
    """A Kafka of the run's own that is killed and comes back with its data."""

    def __init__(self, folder: Path) -> None:
        port, controller_port = found(2)
        self.address = f"{LOOPBACK}:{port}"
        self.kills = 0
        self._folder = folder
        self._command = prepare(folder, port=port, controller_port=controller_port)
        self._process = self._started()

    def killed(self) -> None:
        """Kill it with -9; back once it answers."""
        self.stop()
        self.kills += 1
        self.start()

    def stop(self) -> None:
        """Kill it with -9."""
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        """Back with its data; once it answers."""
        self._process = self._started()

    def close(self) -> None:
        self.stop()

    def _started(self) -> "subprocess.Popen[bytes]":
        with (self._folder / "kafka.log").open("ab") as words:
            process = subprocess.Popen(
                leashed(self._command), stdout=words, stderr=words, start_new_session=True
            )
        within(BROKER_WITHIN_S, lambda: unready(self.address) is None, every=0.1)
        return process
