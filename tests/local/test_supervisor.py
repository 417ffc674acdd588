import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from midstage.local.errors import PlatformError
from midstage.local.lifecycle import State
from midstage.local.supervisor import Child, Supervisor

PYTHON = sys.executable
SLEEP = (PYTHON, "-S", "-c", "import time; print('up', flush=True); time.sleep(600)")
DEAF = (
    *(PYTHON, "-S", "-c"),
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True);"
    " time.sleep(600)",
)


def until(fact: Callable[[], bool], *, what: str, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < deadline, f"{what} did not come about in {within_s} s"
        time.sleep(0.01)


class Screen:
    def __init__(self) -> None:
        self.lines: list[str] = []


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def supervisor(tmp_path: Path, screen: Screen) -> Iterator[Supervisor]:
    made = Supervisor(logs=tmp_path / "logs", say=screen.lines.append)
    yield made
    made.close()


def said_up(supervisor: Supervisor, name: str) -> str | None:
    return None if "up" in supervisor.log(name).read_text() else "it has not said up"


def started(supervisor: Supervisor, name: str, command: tuple[str, ...] = SLEEP) -> int:
    supervisor.start(Child(name=name, command=command, unready=lambda: said_up(supervisor, name)))
    supervisor.await_ready(name, within_s=60)
    pid = supervisor.pid(name)
    assert pid is not None
    return pid


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.slow
def test_what_dies_is_restarted_and_said_with_its_log(
    supervisor: Supervisor, screen: Screen
) -> None:
    first = started(supervisor, "stats")
    assert supervisor.kill("stats", signal.SIGKILL) == first
    until(lambda: supervisor.life("stats").restarts == 1, what="the restart")
    until(lambda: supervisor.pid("stats") is not None, what="the second run")
    assert supervisor.pid("stats") != first
    assert screen.lines == [
        f"stats was killed by SIGKILL and is restarted in 0.2 s: see {supervisor.log('stats')}"
    ]


@pytest.mark.slow
def test_each_run_appends_to_the_log(supervisor: Supervisor) -> None:
    started(supervisor, "stats")
    supervisor.kill("stats", signal.SIGKILL)
    until(lambda: supervisor.log("stats").read_text() == "up\nup\n", what="both runs in the log")


@pytest.mark.slow
def test_the_wait_grows_while_it_keeps_dying(supervisor: Supervisor, screen: Screen) -> None:
    supervisor.start(Child(name="bad", command=(PYTHON, "-S", "-c", "raise SystemExit(3)")))
    until(lambda: len(screen.lines) >= 3, what="three deaths")
    waits = [line.split(" in ")[1].split(" s:")[0] for line in screen.lines[:3]]
    assert waits == ["0.2", "0.4", "0.8"]


@pytest.mark.slow
def test_a_start_that_is_hopeless_names_the_log_and_its_last_lines(supervisor: Supervisor) -> None:
    dies = (PYTHON, "-S", "-c", "raise SystemExit('the port is taken')")
    supervisor.start(Child(name="bad", command=dies, unready=lambda: "it never says so"))
    with pytest.raises(PlatformError, match=r"(?s)bad ended with 1: see .*bad\.log.*port is taken"):
        supervisor.await_ready("bad", within_s=120)


@pytest.mark.slow
def test_a_start_that_takes_too_long_says_why_it_is_not_ready(supervisor: Supervisor) -> None:
    supervisor.start(Child(name="slow", command=SLEEP, unready=lambda: "it warms up"))
    with pytest.raises(PlatformError, match=r"slow is not ready after 0 s \(it"):
        supervisor.await_ready("slow", within_s=0.3)


def test_a_program_that_is_not_there_is_named(supervisor: Supervisor) -> None:
    supervisor.start(Child(name="none", command=("midstage-no-such-program",), restarted=False))
    assert supervisor.await_end("none", within_s=60) == 127
    assert "can't run midstage-no-such-program" in supervisor.last_words("none")


@pytest.mark.slow
def test_what_is_stopped_ends_in_time_even_if_it_is_deaf(supervisor: Supervisor) -> None:
    kind, deaf = started(supervisor, "kind"), started(supervisor, "deaf", DEAF)
    begun = time.monotonic()
    supervisor.stop(["kind", "deaf"], within_s=2.0)  # time for the kind one on a busy machine
    assert time.monotonic() - begun < 300  # deaf for 600 s
    assert gone(kind)
    assert gone(deaf)
    lives = supervisor.lives()
    assert {name: life.exit_code for name, life in lives.items()} == {"kind": -15, "deaf": -9}
    assert all(life.state is State.ENDED and life.restarts == 0 for life in lives.values())


@pytest.mark.slow
def test_one_that_ends_just_when_its_time_is_over_is_stopped_too(supervisor: Supervisor) -> None:
    for _ in range(10):
        supervisor.start(Child(name="quick", command=["sleep", "600"]))
        supervisor.await_ready("quick", within_s=60)
        supervisor.stop(["quick"], within_s=0.001)
        until(lambda: supervisor.life("quick").state is State.ENDED, what="its end")


@pytest.mark.slow
def test_a_stopped_process_can_be_started_again(supervisor: Supervisor) -> None:
    first = started(supervisor, "stats")
    supervisor.stop(["stats"], within_s=5)
    assert started(supervisor, "stats") != first


@pytest.mark.slow
def test_what_is_done_before_a_start_is_done_before_each(supervisor: Supervisor) -> None:
    done: list[int] = []
    supervisor.start(Child(name="envoy", command=SLEEP, before=lambda: done.append(1)))
    until(lambda: supervisor.pid("envoy") is not None, what="the first run")
    supervisor.kill("envoy", signal.SIGKILL)
    until(lambda: supervisor.life("envoy").restarts == 1, what="the death")
    until(lambda: supervisor.pid("envoy") is not None, what="the second run")
    assert len(done) == 2


@pytest.mark.slow
def test_memory_is_that_of_all_processes(supervisor: Supervisor) -> None:
    own = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    holds = "import time; held = b'1' * 200_000_000; time.sleep(600)"
    supervisor.start(Child(name="hungry", command=(PYTHON, "-S", "-c", holds)))
    until(lambda: supervisor.peak_rss_mb() > own * 0.8 + 190, what="the peak")


PARENT = """
import sys, time
from pathlib import Path
from midstage.local.supervisor import Child, Supervisor
supervisor = Supervisor(logs=Path(sys.argv[1]), say=print)
for name in ("one", "two"):
    supervisor.start(Child(name=name, command=(sys.executable, "-S", "-c", {child!r})))
for name in ("one", "two"):
    supervisor.await_ready(name, within_s=60)
try:  # before it is said: whoever reads it interrupts at once
    print(supervisor.pid("one"), supervisor.pid("two"), flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    supervisor.stop(["one"], within_s=5)
    print("one", flush=True)
    supervisor.stop(["two"], within_s=5)
    print("two", flush=True)
    supervisor.close()
"""


def parent(tmp_path: Path) -> tuple["subprocess.Popen[str]", list[int]]:
    process = subprocess.Popen(
        [PYTHON, "-c", PARENT.format(child=SLEEP[-1]), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    return process, [int(pid) for pid in process.stdout.readline().split()]


@pytest.mark.slow
def test_nothing_survives_the_parents_kill_9(tmp_path: Path) -> None:
    process, pids = parent(tmp_path)
    assert len(pids) == 2
    process.kill()
    process.wait()
    until(lambda: all(gone(pid) for pid in pids), what="the children's end")


@pytest.mark.slow
def test_ctrl_c_reaches_only_the_parent_which_stops_its_children_in_order(tmp_path: Path) -> None:
    process, pids = parent(tmp_path)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: to the whole foreground group
    out, _ = process.communicate(timeout=120)
    assert out.split() == ["one", "two"]
    assert process.returncode == 0
    assert all(gone(pid) for pid in pids)
