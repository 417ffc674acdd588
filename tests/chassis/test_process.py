"""Start and stop as an operator sees them: a real process, real signals, exit codes and the log."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from midstage.chassis.process import Process
from midstage.testkit.waiting import within
from tests import patient

pytestmark = pytest.mark.slow

SCRIPT = """
import asyncio, os, sys, threading, time
from fastapi import APIRouter
from prometheus_client import CollectorRegistry
from midstage.chassis import http, logs
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness

logs.configure(service="tale")
log = logs.logger("tale")

class Thread:
    def __init__(self, name): self.name = name
    def run(self, stop):
        stop.wait()
        log.info("left", loop=self.name)

class Task(Thread):
    async def run(self, stop):
        await stop.wait()
        log.info("left", loop=self.name)

class Failing(Thread):
    def run(self, stop):
        time.sleep(0.05)
        raise LookupError("the log is torn")

class FailingTask(Thread):
    async def run(self, stop):
        raise LookupError("the log is torn")

class FailingAtTheEnd(Thread):
    def run(self, stop):
        stop.wait()
        raise LookupError("not flushed")

class Leaving(Thread):
    def run(self, stop):
        pass

class Deaf(Thread):
    def run(self, stop):
        threading.Event().wait()

class DeafTask(Thread):
    async def run(self, stop):
        await asyncio.Event().wait()

class Blocking(Thread):
    async def run(self, stop):
        await stop.wait()
        while True: time.sleep(0.01)

class Hogging(Thread):
    async def run(self, stop):
        while True: time.sleep(0.01)

router = APIRouter()

@router.get("/slow")
async def slow() -> str:
    log.info("asked")
    await asyncio.sleep(0.5)
    return "whole"

@router.get("/endless")
async def endless() -> str:
    log.info("asked")
    await asyncio.Event().wait()
    return ""

app = http.build(service="tale", version="1", readiness=Readiness(), registry=CollectorRegistry(),
                 token="t", routers=[router])
settings = dict(service="tale", app=app, host="127.0.0.1", port=int(os.environ["PORT"]))
sys.exit(Process(**{**settings, **dict(STORY)}).run())
"""


@dataclass
class Running:
    """A process of the story, and what it logs."""

    child: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """The whole ones: one that is just being written has no end yet."""
        whole, _, _ = self.log.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == event]

    def started(self) -> str:
        address: str = within(60, lambda: self.said("started"))[0]["address"]
        return address

    def ends(self, seconds: float = 60) -> int:
        return self.child.wait(timeout=seconds)


@contextmanager
def running(directory: Path, story: str, *, port: int = 0) -> Iterator[Running]:
    """A process with the parts that ``story`` names."""
    log = directory / "log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT.replace("STORY", story)],
            env={**os.environ, "PORT": str(port)},
            stderr=out,
        )
    try:
        yield Running(child=child, log=log)
    finally:
        child.kill()
        child.wait()


PARTS = "loops=[Thread('first'), Thread('second')], async_loops=[Task('third')]"
AT_LEISURE = "stop_within_s=100"
"""So that each part has its share of the time, in order, even where the machine pauses."""
THREE = f"{PARTS}, {AT_LEISURE}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_loops_from_last_to_first(tmp_path: Path, number: int) -> None:
    with running(tmp_path, THREE) as process:
        address = process.started()
        assert patient.get(f"http://{address}/healthz").status_code == 200
        process.child.send_signal(number)
        assert process.ends() == 0
        assert [line["loop"] for line in process.said("left")] == ["third", "second", "first"]
        assert process.said("stopped")[0]["code"] == 0
        with pytest.raises(httpx.ConnectError):
            patient.get(f"http://{address}/healthz")


def test_a_request_that_is_open_is_answered_before_the_loops_stop(tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    with running(tmp_path, THREE) as process:
        address = process.started()
        caller = threading.Thread(
            target=lambda: answers.append(patient.get(f"http://{address}/slow"))
        )
        caller.start()
        within(60, lambda: process.said("asked"))
        process.child.terminate()
        assert process.ends() == 0
        caller.join()
    assert [answer.json() for answer in answers] == ["whole"]


def test_a_request_without_end_does_not_hold_the_process(tmp_path: Path) -> None:
    with running(tmp_path, f"{PARTS}, stop_within_s=10") as process:
        address = process.started()
        with socket.create_connection(address.split(":")) as caller:  # type: ignore[arg-type]  # two strings will do
            caller.sendall(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
            within(60, lambda: process.said("asked"))
            process.child.terminate()
            assert process.ends() == 0
        assert len(process.said("left")) == 3


@pytest.mark.parametrize(
    "story",
    [
        "loops=[Thread('first'), Failing('bad')], async_loops=[Task('third')]",
        "loops=[Thread('first'), Thread('third')], async_loops=[FailingTask('bad')]",
        "app=None, loops=[Thread('first'), Failing('bad'), Thread('third')]",
    ],
)
def test_a_loop_that_raises_stops_the_others_in_order(tmp_path: Path, story: str) -> None:
    with running(tmp_path, f"{story}, {AT_LEISURE}") as process:
        assert process.ends() == 1
        (failed,) = process.said("loop_failed")
        assert (failed["loop"], failed["error_type"]) == ("bad", "LookupError")
        assert failed["error"] == "the log is torn"
        assert [line["loop"] for line in process.said("left")] == ["third", "first"]


def test_a_loop_that_fails_while_it_stops_is_a_failure_too(tmp_path: Path) -> None:
    with running(tmp_path, "loops=[Thread('first'), FailingAtTheEnd('bad')]") as process:
        process.started()
        process.child.terminate()
        assert process.ends() == 1
        assert process.said("loop_failed")[0]["error"] == "not flushed"
        assert [line["loop"] for line in process.said("left")] == ["first"]


def test_a_loop_that_leaves_unasked_is_a_failure(tmp_path: Path) -> None:
    with running(tmp_path, "loops=[Leaving('short'), Thread('other')]") as process:
        assert process.ends() == 1
        assert process.said("loop_failed")[0]["loop"] == "short"


@pytest.mark.parametrize("deaf", ["loops=[Thread('a'), Deaf('b')]", "async_loops=[DeafTask('b')]"])
def test_a_loop_that_does_not_stop_is_named(tmp_path: Path, deaf: str) -> None:
    with running(tmp_path, f"{deaf}, stop_within_s=5") as process:
        process.started()
        process.child.terminate()
        assert process.ends() == 1
        assert [line["loop"] for line in process.said("loop_did_not_stop")] == ["b"]


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with running(tmp_path, "loops=[Deaf('b')], stop_within_s=600") as process:
        process.started()
        process.child.terminate()
        within(60, lambda: process.said("stopping"))
        process.child.send_signal(signal.SIGINT)
        assert process.ends() == 1
        assert process.said("stop_forced")[0]["signal"] == "SIGINT"


def test_a_blocked_event_loop_is_ended_by_the_watchdog(tmp_path: Path) -> None:
    with running(tmp_path, "async_loops=[Blocking('b')], stop_within_s=0.5") as process:
        process.started()
        process.child.terminate()
        assert process.ends() == 1
        assert "did not end in time" in process.said("stop_forced")[0]["error"]


def test_a_failure_under_a_blocked_event_loop_ends_the_process(tmp_path: Path) -> None:
    story = "loops=[Failing('bad')], async_loops=[Hogging('b')], stop_within_s=0.5"
    with running(tmp_path, story) as process:
        assert process.ends() == 1
        assert process.said("loop_failed")[0]["loop"] == "bad"
        assert process.said("stop_forced")


def test_a_taken_address_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(tmp_path, THREE, port=port) as process:
            assert process.ends() == 1
            (line,) = process.said("address_unavailable")
            assert (line["host"], line["port"]) == ("127.0.0.1", port)
            assert not process.said("started")


def test_a_process_in_a_thread_stops_when_asked() -> None:
    class Waiting:
        name = "waiting"

        def run(self, stop: threading.Event) -> None:
            stop.wait()

    process = Process(service="tale", app=None, host="", port=0, loops=[Waiting()])
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(process.run()))
    thread.start()
    process.stop()
    thread.join(timeout=60)
    assert codes == [0]
