"""The caller against a real replica, and against servers that misbehave."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import httpx
import msgspec
import pytest

from midstage.contracts.requests import Outcome
from midstage.local.replay import customers, trace
from midstage.local.replay.call import Caller
from midstage.local.replay.listing import CallerRow, Listing, read_list
from midstage.local.replay.plan import Planned, plan
from midstage.local.replay.progress import Line, Progress
from midstage.local.replica.service_time import PER_TOKEN_S
from tests import patient
from tests.ports import free_port

slow = pytest.mark.slow
WITHIN_S = 60.0
HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens"


def await_true(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what}"
        time.sleep(0.02)


def serves(base: str) -> bool:
    try:
        return patient.get(f"{base}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def replica(*options: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "midstage.local.replica", "--port", str(port)]
    process = subprocess.Popen([*command, "--cold-start-s", "0", *options])
    try:
        base = f"http://127.0.0.1:{port}"
        await_true(lambda: serves(base), "ready")
        yield base
    finally:
        process.kill()
        process.wait()


def caller(base: str, directory: Path, *options: str) -> "subprocess.Popen[str]":
    customers.write_keys(directory / "keys.json")
    files = ["--keys-file", str(directory / "keys.json"), "--list", str(directory / "list.jsonl")]
    command = [sys.executable, "-m", "midstage.local.replay.caller", "--base-url", base]
    return subprocess.Popen(
        [*command, *files, "--run", "t", *options], stdout=subprocess.PIPE, text=True
    )


def trace_of(file: Path, tokens: list[int], *, every_s: float) -> str:
    rows = [
        f"2023-11-16 18:00:{number * every_s:010.7f},5,{count}"
        for number, count in enumerate(tokens)
    ]
    file.write_text("\n".join([HEAD, *rows, ""]), encoding="utf-8")
    return str(file)


@slow
def test_a_small_replay_lists_every_request_with_the_units_that_were_really_served(
    tmp_path: Path,
) -> None:
    with replica("--speed", "20", "--slots", "80") as base:
        offering = caller(base, tmp_path, "--requests", "60", "--speed", "20", "--app", "talk")
        out, _ = offering.communicate(timeout=120)
        # an answer is counted when it has ended: its caller may have heard of that before
        await_true(lambda: patient.get(f"{base}/stats").json()["served"] == 60, "all are served")
        stats = patient.get(f"{base}/stats").json()
    assert offering.returncode == 0
    last = msgspec.json.decode(out.splitlines()[-1], type=Line)
    assert (last.done, last.offered, last.in_flight) == (True, 60, 0)

    rows = {row.ref: row for row in read_list(tmp_path / "list.jsonl")}
    planned = list(plan(trace.read("conv", most=60), run="t", seed=7, speed=20))
    assert sorted(rows) == [request.ref for request in planned]
    for request in planned:
        row = rows[request.ref]
        assert (row.customer, row.app, row.status) == (request.customer, "talk", 200)
        assert row.outcome is (Outcome.CANCELLED if request.leaves_after else Outcome.OK)
        assert (row.ttft_ms is not None) is request.streamed
        if row.outcome is Outcome.OK:
            tokens = {"input_tokens": request.prompt_tokens, "output_tokens": request.max_tokens}
            assert row.usage == {"requests": 1, **tokens}
            assert row.duration_ms >= request.max_tokens * PER_TOKEN_S / 20 * 1000
    assert stats["served"] == last.answered
    assert stats["left"] == last.cancelled


@slow
def test_arrivals_do_not_wait_for_answers(tmp_path: Path) -> None:
    """Ten requests, 0.1 s apart, to a replica with one slot: all are sent at their times."""
    slow_trace = trace_of(tmp_path / "t.csv", [60] * 10, every_s=0.1)
    with replica("--speed", "10", "--slots", "1") as base:
        begun = time.time()
        offering = caller(base, tmp_path, "--trace", slow_trace, "--speed", "1")
        offering.communicate(timeout=120)
    rows = read_list(tmp_path / "list.jsonl")
    assert {row.outcome for row in rows} == {Outcome.OK}
    starts = sorted(row.ended_at.timestamp() - row.duration_ms / 1000 for row in rows)
    assert starts[-1] - begun >= 0.9
    assert max(row.duration_ms for row in rows) > 4 * 165  # the last one waited for others


@slow
def test_sigterm_ends_the_offering_and_lists_what_runs_as_it_stands(tmp_path: Path) -> None:
    endless = trace_of(tmp_path / "t.csv", [20_000] * 50, every_s=0.5)
    with replica("--speed", "1") as base:
        offering = caller(base, tmp_path, "--trace", endless, "--speed", "1")
        await_true(lambda: patient.get(f"{base}/stats").json()["active"] >= 3, "three run")
        offering.send_signal(signal.SIGTERM)
        out, _ = offering.communicate(timeout=WITHIN_S)
        await_true(lambda: patient.get(f"{base}/stats").json()["active"] == 0, "all slots free")
    assert offering.returncode == 0
    last = msgspec.json.decode(out.splitlines()[-1], type=Line)
    rows = read_list(tmp_path / "list.jsonl")
    assert last.in_flight == 0
    assert 3 <= len(rows) == last.offered < 50
    assert {row.outcome for row in rows} == {Outcome.CANCELLED}
    streamed = [row for row in rows if row.streamed]
    plain = [row for row in rows if not row.streamed]
    assert streamed
    assert all(row.estimated and row.usage["output_tokens"] > 0 for row in streamed)
    assert all((row.status, row.usage) == (0, {}) for row in plain)


@slow
def test_a_caller_that_cannot_list_a_request_fails_and_its_short_list_is_not_compared(
    tmp_path: Path,
) -> None:
    offering = caller("http://127.0.0.1:1", tmp_path, "--requests", "3", "--list", "/dev/full")
    out, _ = offering.communicate(timeout=WITHIN_S)
    assert offering.returncode == 1
    assert all(not json.loads(line)["done"] for line in out.splitlines())


def test_what_cant_be_read_ends_the_caller_with_2_before_it_calls(tmp_path: Path) -> None:
    bad = tmp_path / "t.csv"
    bad.write_text(f"{HEAD}\nnow,1,1\n")
    offering = caller("http://127.0.0.1:1", tmp_path, "--trace", str(bad))
    assert offering.communicate(timeout=WITHIN_S)[0] == ""
    assert offering.returncode == 2


TOKEN = b'data: {"choices":[{"delta":{"content":"a "}}],"usage":null}\n\n'
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives every request these bytes and closes the connection."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1/chat/completions", heads


def called(answer: bytes, *, streamed: bool = True, leaves_after: int = 0) -> CallerRow:
    planned = Planned(
        ref="t-0000001",
        at_s=0,
        customer="elm-insurance",
        prompt_tokens=5,
        max_tokens=9,
        streamed=streamed,
        leaves_after=leaves_after,
    )

    async def story() -> CallerRow:
        async with answering(answer) as (url, heads), aiohttp.ClientSession() as session:
            one = Caller(session=session, url=url, app="chat", keys=lambda name: f"key-{name}")
            row = await one.call(planned, b'{"a":1}', late_s=0.25)
            assert len(heads) == 1, "sent once, never again"
            assert b"x-midstage-ref: t-0000001" in heads[0]
            assert b"Bearer key-elm-insurance" in heads[0]
            return row

    row = asyncio.run(story())
    assert row.late_ms == 250
    return row


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (429, Outcome.REFUSED),
        (401, Outcome.REFUSED),
        (403, Outcome.REFUSED),
        (400, Outcome.INVALID),
        (500, Outcome.ERROR),
        (503, Outcome.ERROR),
    ],
)
def test_an_answer_that_is_none_costs_nothing(status: int, outcome: Outcome) -> None:
    row = called(f"HTTP/1.1 {status} No\r\ncontent-length: 4\r\n\r\nsoon".encode())
    assert (row.status, row.outcome, row.usage, row.estimated) == (status, outcome, {}, False)
    assert row.reason == "soon"


def test_no_answer_at_all_is_status_0_and_an_error() -> None:
    row = called(b"")
    assert (row.status, row.outcome, row.usage) == (0, Outcome.ERROR, {})


def test_a_broken_stream_is_an_error_with_what_was_received() -> None:
    chunked = STREAM + b"transfer-encoding: chunked\r\n\r\n"
    row = called(chunked + f"{len(TOKEN) * 3:x}\r\n".encode() + TOKEN * 3 + b"\r\n")
    assert (row.status, row.outcome, row.estimated) == (200, Outcome.ERROR, True)
    assert row.usage == {"input_tokens": 5, "output_tokens": 3}


def test_a_stream_that_ends_without_done_is_an_error() -> None:
    row = called(STREAM + b"connection: close\r\n\r\n" + TOKEN)
    assert (row.outcome, row.reason) == (Outcome.ERROR, "the stream ended without [DONE]")


def test_a_broken_plain_answer_is_an_error() -> None:
    row = called(b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"usage"', streamed=False)
    assert (row.status, row.outcome, row.usage) == (200, Outcome.ERROR, {})


def test_a_caller_that_leaves_counts_what_was_delivered() -> None:
    row = called(STREAM + b"content-length: 9999\r\n\r\n" + TOKEN * 4, leaves_after=2)
    assert (row.status, row.outcome, row.estimated) == (200, Outcome.CANCELLED, True)
    assert row.usage == {"requests": 1, "input_tokens": 5, "output_tokens": 4}


def test_a_caller_that_comes_too_late_to_leave_has_its_answer() -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":4}}\n\n'
    whole = TOKEN * 4 + usage + b"data: [DONE]\n\n"
    head = STREAM + f"content-length: {len(whole)}\r\n\r\n".encode()
    row = called(head + whole, leaves_after=2)
    assert (row.outcome, row.estimated) == (Outcome.OK, False)
    assert row.usage == {"requests": 1, "input_tokens": 5, "output_tokens": 4}


def test_a_list_that_was_cut_off_keeps_every_whole_row(tmp_path: Path) -> None:
    row = called(b"")
    with Listing(tmp_path / "list.jsonl") as listing:
        listing.add(row)
        assert read_list(tmp_path / "list.jsonl") == (row,)
        listing.add(row)
    whole = (tmp_path / "list.jsonl").read_bytes()
    (tmp_path / "list.jsonl").write_bytes(whole[:-10])
    assert read_list(tmp_path / "list.jsonl") == (row,)
    assert json.loads(whole.splitlines()[0])["outcome"] == "error"


def test_progress_adds_up_and_forgets_old_latencies() -> None:
    ok = called(b"")
    progress = Progress()
    for at, outcome in enumerate(Outcome):
        progress.sent(late_s=at / 1000)
        row = msgspec.structs.replace(ok, outcome=outcome, duration_ms=100.0)
        progress.ended(row, at=float(at))
    progress.sent(late_s=0)
    line = progress.line(elapsed_s=5, at=5.0, done=False)
    assert (line.answered, line.refused, line.failed, line.cancelled) == (1, 1, 2, 1)
    assert (line.offered, line.in_flight, line.p50_ms, line.late_ms) == (6, 1, 100.0, 4.0)
    assert progress.line(elapsed_s=9, at=9.0, done=False).p50_ms is None
