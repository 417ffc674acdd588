"""What every ledger promises, and what the one in a file promises besides."""

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from midstage.contracts import sketch
from midstage.contracts.errors import UnavailableError
from midstage.eventlog.log import Partition
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.model import Batch
from midstage.stats.stream.counting import Ledger
from midstage.stats.views.rows import Row, RowsQuery

from .asking import total
from .conftest import NOON, decided, request
from .memory import MemoryLedger

SOURCE = "edges/edge-1/a"
PLACE = Partition(topic="t", number=0)


def now() -> datetime:
    return NOON + timedelta(milliseconds=250)


def opened(file: Path, reached: Callable[[str], None] = lambda _: None) -> DuckdbLedger:
    return DuckdbLedger(file, now=now, memory_mb=128, reached=reached)


def batch(*seqs: int, known: Ledger | None = None, unnumbered: tuple[str, ...] = ()) -> Batch:
    events = [request(SOURCE, seq) for seq in seqs]
    events += [request("jobs", None, event_id=name) for name in unnumbered]
    return decided(known or MemoryLedger(), events)


def test_what_a_file_holds_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    first = opened(file)
    first.commit(batch(1, 2, unnumbered=("x",)), begins={PLACE: 0}, ends={PLACE: 3})
    first.close()
    again = opened(file)
    assert again.positions() == {PLACE: 3}
    again.commit(batch(2, 3, known=again), begins={PLACE: 3}, ends={PLACE: 5})
    assert [row.row for row in rows(again)] == [1, 2, 3, 4]
    assert [row.seq for row in rows(again)] == [1, 2, None, 3]
    again.close()


def test_rows_are_numbered_on_from_commit_to_commit_so_that_no_page_skips_one(
    tmp_path: Path,
) -> None:
    ledger = opened(tmp_path / "usage.duckdb")
    for at in range(3):
        added = batch(2 * at + 1, 2 * at + 2, known=ledger)
        ledger.commit(added, begins={PLACE: at}, ends={PLACE: at + 1})
    assert [(row.row, row.seq) for row in rows(ledger)] == [(n, n) for n in range(1, 7)]
    ledger.close()


def test_freshness_is_of_the_rows_that_came_lately(tmp_path: Path) -> None:
    at = [NOON]
    ledger = DuckdbLedger(tmp_path / "usage.duckdb", now=lambda: at[0], memory_mb=128)
    ages_ms = (90_000, 100, 200, 300, 400, 10_000)
    for number, age in enumerate(ages_ms):
        at[0] = NOON + timedelta(minutes=1 if number else 0)
        ended = at[0] - timedelta(milliseconds=age)
        added = decided(ledger, [request(SOURCE, number + 1, time=ended)])
        ledger.commit(added, begins={PLACE: number}, ends={PLACE: number + 1})
    recorded = ledger.queries().recorded(since=NOON + timedelta(seconds=1))
    assert (recorded.rows, sketch.count(recorded.ages)) == (6, 5)
    assert sketch.quantile(recorded.ages, 0.5) == pytest.approx(300.0, rel=0.01)
    assert sketch.quantile(recorded.ages, 1) == pytest.approx(10_000, rel=0.01)
    ledger.close()


def test_a_row_keeps_everything_that_the_event_said(tmp_path: Path) -> None:
    said = request(
        SOURCE,
        1,
        usage={"input_tokens": 3, "audio_seconds": 0.25, "images": 10**12},
        estimated=True,
        queue_ms=1.5,
        ttft_ms=20.0,
        bytes_in=2**62,
        endpoint="/v1/chat/completions",
        revision="r1",
        labels={"team": "ocr\0x"},
        cluster="c",
        pod="p",
        trace_id="t",
    )
    ledger = opened(tmp_path / "usage.duckdb")
    one = decided(ledger, [said])
    ledger.commit(one, begins={}, ends={PLACE: 1})
    (row,) = rows(ledger)
    assert row.usage == {"input_tokens": 3, "audio_seconds": 0.25, "images": 10**12}
    assert row.labels == {"team": "ocr\0x"}
    assert (row.billed, row.estimated, row.time, row.seq) == (True, True, NOON, 1)
    assert (row.duration_ms, row.queue_ms, row.ttft_ms) == (120.0, 1.5, 20.0)
    assert (row.bytes_in, row.endpoint, row.pod) == (2**62, "/v1/chat/completions", "p")
    assert row.recorded_ms_after == 250.0
    ledger.close()


@pytest.mark.parametrize("together", [1, 20])
def test_sums_are_exact_beyond_64_bits(tmp_path: Path, together: int) -> None:
    ledger = opened(tmp_path / "usage.duckdb")
    for at in range(0, 20, together):
        numbers = range(at + 1, at + together + 1)
        events = [request(SOURCE, number, usage={"images": 10**12}) for number in numbers]
        ledger.commit(decided(ledger, events), begins={PLACE: at}, ends={PLACE: at + together})
    summed = total(ledger.queries())
    assert summed.micros == {"images": 20 * 10**18}
    assert summed.outcomes == {"ok": 20}
    ledger.close()


def test_a_crash_before_the_commit_leaves_nothing(tmp_path: Path) -> None:
    class CrashError(Exception):
        pass

    def crash(place: str) -> None:
        if place == "ledger:inserted":
            raise CrashError

    ledger = opened(tmp_path / "usage.duckdb", crash)
    with pytest.raises(CrashError):
        ledger.commit(batch(1, unnumbered=("x",)), begins={PLACE: 0}, ends={PLACE: 2})
    ledger.close()
    again = opened(tmp_path / "usage.duckdb")
    assert again.positions() == {}
    assert rows(again) == ()
    assert again.queries().sources() == []
    assert total(again.queries()).outcomes == {}
    assert (again.row(), len(again.unnumbered(0))) == (0, 0)
    again.close()


@pytest.mark.slow
def test_a_second_process_is_told_who_holds_the_file(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    with holder(file) as held, pytest.raises(UnavailableError) as refused:
        opened(file)
    sentence = str(refused.value)
    assert f"pid {held.pid}" in sentence
    assert "stop that one first" in sentence


@pytest.mark.slow
def test_kill_9_in_the_middle_leaves_what_was_committed(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    with holder(file) as held:
        held.kill()
        held.wait()
    ledger = opened(file)
    summed = total(ledger.queries())
    assert summed.outcomes == {"ok": 3}
    assert ledger.positions() == {PLACE: 3}
    ledger.commit(batch(4, known=ledger), begins={PLACE: 3}, ends={PLACE: 4})
    assert ledger.sources(frozenset({SOURCE}))[SOURCE].seen.spans == ((1, 4),)
    ledger.close()


def test_a_ledger_of_another_schema_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    opened(file).close()
    with duckdb.connect(str(file)) as db:
        db.execute("UPDATE about SET schema = 99")
    with pytest.raises(UnavailableError, match="schema 99"):
        opened(file)


def test_a_ledger_of_another_shard_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    opened(file).close()
    for shard, shards in ((1, 2), (0, 2)):
        with pytest.raises(UnavailableError, match=f"is shard 0 of 1, not {shard} of {shards}"):
            DuckdbLedger(file, now=lambda: NOON, memory_mb=128, shard=shard, shards=shards)
    opened(file).close()


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    file.write_bytes(b"not a database" * 1000)
    with pytest.raises(UnavailableError, match="can't be opened"):
        opened(file)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:5000],
        lambda whole: b"",
        lambda whole: whole[:12_400] + bytes(4096) + whole[16_496:],
        lambda whole: bytes(64) + whole[64:],
    ],
    ids=["half", "head", "nothing", "block", "header"],
)
def test_a_damaged_ledger_is_refused_with_the_remedy(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / "usage.duckdb"
    first = opened(file)
    first.commit(batch(*range(1, 500)), begins={PLACE: 0}, ends={PLACE: 1})
    first.close()
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UnavailableError, match="put back a copy"):
        opened(file)


def test_newest_transactions_without_their_ledger_are_not_taken_for_a_new_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "usage.duckdb.wal").write_bytes(b"of a ledger that is gone")
    with pytest.raises(UnavailableError, match="is gone"):
        opened(tmp_path / "usage.duckdb")
    assert not (tmp_path / "usage.duckdb").exists()


@pytest.mark.slow
def test_a_disk_that_is_full_in_a_commit_loses_and_doubles_nothing(tmp_path: Path) -> None:
    file = tmp_path / "usage.duckdb"
    command = [sys.executable, "-c", FULL, str(file)]
    full = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (full.returncode, full.stderr.count("File too large")) == (1, 1)
    committed = int(full.stdout.split()[-1])
    ledger = opened(file)
    summed = total(ledger.queries())
    assert ledger.positions() == {PLACE: committed}
    assert summed.outcomes == {"ok": committed * 500}
    assert ledger.sources(frozenset({SOURCE}))[SOURCE].seen.spans == ((1, committed * 500),)
    ledger.close()


FULL = """
import resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from midstage.contracts.fact import Event
from midstage.contracts.requests import Outcome, RequestCompleted
from midstage.eventlog.log import Partition
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.decide import decide, named
from midstage.stats.model import Known
from midstage.stats.stream.reading import arrivals

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
at = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
place = Partition(topic="t", number=0)
ledger = DuckdbLedger(Path(sys.argv[1]), now=lambda: at, memory_mb=128)
fact = RequestCompleted(
    app="chat", customer="acme", status=200, outcome=Outcome.OK, duration_ms=1.0
)
for n in range(1000):
    arrived = arrivals([
        Event(id=f"{n}/{k}", source="edges/edge-1/a", type="t", time=at, seq=n * 500 + k, data=fact)
        for k in range(1, 501)
    ])
    batch = decide(Known(sources=ledger.sources(named(arrived)), seen=arrived.rows.billed), arrived)
    ledger.commit(batch, begins={place: n}, ends={place: n + 1})
    print(n + 1, flush=True)
"""


def test_a_question_does_not_see_what_is_not_committed(tmp_path: Path) -> None:
    seen: list[int] = []

    def ask(place: str) -> None:
        seen.append(in_file.queries().recorded(since=NOON).rows)

    in_file = opened(tmp_path / "usage.duckdb", ask)
    in_file.commit(batch(1, 2), begins={}, ends={PLACE: 2})
    assert seen == [0, 2]
    in_file.close()


HOLDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from midstage.contracts.fact import Event
from midstage.contracts.requests import RequestCompleted, Outcome
from midstage.eventlog.log import Partition
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.decide import decide, named
from midstage.stats.model import Known
from midstage.stats.stream.reading import arrivals

at = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
place = Partition(topic="t", number=0)

def hold(where):
    if where == "ledger:inserted" and ledger.positions().get(place) == 3:
        print("held", flush=True)
        sys.stdin.read()  # until it is killed

ledger = DuckdbLedger(Path(sys.argv[1]), now=lambda: at, memory_mb=128, reached=hold)
for n in range(9):
    fact = RequestCompleted(
        app="chat", customer="acme", status=200, outcome=Outcome.OK, duration_ms=1.0
    )
    source = "edges/edge-1/a"
    arrived = arrivals([Event(id=str(n), source=source, type="t", time=at, seq=n + 1, data=fact)])
    batch = decide(Known(sources=ledger.sources(named(arrived)), seen=arrived.rows.billed), arrived)
    ledger.commit(batch, begins={place: n}, ends={place: n + 1})
"""


class holder:  # noqa: N801  reads as a with-statement
    """A process that has committed three chunks and stands inside the fourth's transaction."""

    def __init__(self, file: Path) -> None:
        command = [sys.executable, "-c", HOLDER, str(file)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "subprocess.Popen[str]":
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def rows(ledger: DuckdbLedger) -> tuple[Row, ...]:
    return ledger.queries().rows(RowsQuery()).requests
