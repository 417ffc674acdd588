"""Other processes make the past again as this one does; whatever befalls them is said, and ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import msgspec
import pytest

from midstage.contracts.errors import UnavailableError
from midstage.contracts.fact import Event
from midstage.contracts.scaling import EVALUATION_MADE, EvaluationMade, Inputs
from midstage.eventlog.codec import encode
from midstage.eventlog.log import Message
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.stream import shallow
from midstage.hpa.stream.folding import Topics
from midstage.hpa.stream.judging import Judges, Task
from midstage.hpa.stream.processors import beside, usable
from midstage.hpa.stream.replay import ALONE, CHUNK, replayed
from midstage.hpa.views.replays import Which
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from tests.hpa.conftest import Others
from tests.hpa.test_engine_version import by_load

ALL = Which()
WHO_DIES = """
from midstage.hpa.stream import shallow
from midstage.hpa.stream.judging import Judges
from midstage.hpa.views.replays import Which
task = (shallow.evaluations, [b"{}"])
for found in Judges(2).judged([task] * 100_000_000, Which()):
    print(found.total, flush=True)
"""


def record(of: Inputs) -> bytes:
    """As hpa writes what it decided of ``of``."""
    kept = msgspec.json.decode(msgspec.json.encode(of), type=Inputs)
    made = msgspec.structs.replace(evaluate(kept), engine=ENGINE)
    return encode(
        Event(
            id="hpa/0",
            source="hpa",
            type=EVALUATION_MADE,
            time=NOON,
            subject=of.app,
            data=EvaluationMade(app=of.app, evaluation=made),
        )
    )


@pytest.fixture(scope="module")
def values() -> Sequence[bytes]:
    return [record(each) for each in by_load()]


def tasks(values: Sequence[bytes]) -> Sequence[Task]:
    """Seven records each; the last task has fewer."""
    return [(shallow.evaluations, values[at : at + 7]) for at in range(0, len(values), 7)]


def messages(names: Topics, values: Iterable[bytes]) -> Iterator[Message]:
    for value in values:
        yield Message(topic=names.evaluations.name, key=b"chat", value=value)


def children(of: int) -> list[int]:
    """The judges of that process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue  # it is gone
        if parent == of and b"midstage.hpa.stream.judging" in command:
            found.append(int(stat.parent.name))
    return found


@pytest.mark.slow
def test_what_others_make_again_is_what_this_one_makes_in_the_same_order(
    values: Sequence[bytes],
) -> None:
    forged = [each.replace(b'"current":4', b'"current":7') for each in values[20:40]]
    given = tasks([*values[:20], *forged, *values[40:]])
    here = [work(chunk, ALL) for work, chunk in given]
    assert any(each.first is not None for each in here)
    assert list(Judges(2).judged(given, ALL)) == here


@pytest.mark.slow
def test_one_that_is_killed_is_an_error_that_says_so(values: Sequence[bytes]) -> None:
    with closing(Judges(2).judged(cycle(tasks(values)), ALL)) as endless:
        next(endless)
        os.kill(children(os.getpid())[0], signal.SIGKILL)
        with pytest.raises(UnavailableError, match="killed by SIGKILL; is there too little memory"):
            list(endless)
    assert not children(os.getpid())


@pytest.mark.slow
def test_one_replay_has_them_at_a_time_and_who_asks_no_more_ends_them(
    values: Sequence[bytes],
) -> None:
    judges = Judges(2)
    with closing(judges.judged(cycle(tasks(values)), ALL)) as endless:
        assert len(list(islice(endless, 5))) == 5
        assert len(children(os.getpid())) == 2
        with pytest.raises(UnavailableError, match="another replay"):
            next(judges.judged(tasks(values), ALL))
    assert not children(os.getpid())
    assert sum(each.total for each in judges.judged(tasks(values), ALL)) == len(values)


@pytest.mark.slow
def test_they_end_with_the_one_that_started_them_however_it_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", WHO_DIES], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"0\n"
        judges = children(parent.pid)
        assert len(judges) == 2
        parent.kill()
    within(60, lambda: not any(Path(f"/proc/{pid}").exists() for pid in judges))


@pytest.mark.slow
def test_ctrl_c_ends_all_of_them() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WHO_DIES],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"0\n"
        os.killpg(parent.pid, signal.SIGINT)
        parent.stdout.read()
        assert parent.stderr is not None
        assert parent.stderr.read().count(b"Traceback") == 1  # none of theirs
    assert parent.returncode != 0


@pytest.mark.slow
def test_a_long_past_is_shared_and_a_short_one_is_not(
    others: Others, values: Sequence[bytes]
) -> None:
    judges = Judges(2)
    taken = judges.judged(cycle(tasks(values)), ALL)
    next(taken)
    of = islice(cycle(values), ALONE * CHUNK)
    with closing(taken):
        others.put(*messages(others.names, of))
        assert replayed(others.log, which=ALL, judges=judges).total == ALONE * CHUNK
        others.put(*messages(others.names, values))
        with pytest.raises(UnavailableError):
            replayed(others.log, which=ALL, judges=judges)
    found = replayed(others.log, which=ALL, judges=judges)
    assert (found.total, found.equal) == (ALONE * CHUNK + len(values), True)


def test_a_quota_leaves_one_processor_to_the_deciding(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    allowed = usable(quota)
    assert beside(quota) == min(4, allowed)  # there is none: all are for both
    quota.write_text("max 100000\n")
    assert usable(quota) == allowed
    quota.write_text("50000 100000\n")
    assert (usable(quota), beside(quota)) == (1, 0)
    quota.write_text("250000 100000\n")
    assert (usable(quota), beside(quota)) == (min(allowed, 2), min(allowed, 1))
    quota.write_text("nonsense\n")
    assert usable(quota) == allowed
