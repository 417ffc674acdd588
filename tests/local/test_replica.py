"""A replica as its callers and its platform see it: real processes, real HTTP."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.local.replica import wire
from midstage.local.replica.slots import QueueFullError, Slots
from tests import patient
from tests.ports import free_port

slow = pytest.mark.slow
PATH = "/v1/chat/completions"
WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    base: str
    process: "subprocess.Popen[bytes]"

    def stats(self) -> dict[str, int]:
        answer: dict[str, int] = patient.get(f"{self.base}/stats").json()
        return answer

    def await_stats(self, **wanted: int) -> None:
        await_true(lambda: wanted.items() <= self.stats().items(), f"{wanted}")


def await_true(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what}"
        time.sleep(0.01)


def answers(base: str, path: str) -> int:
    try:
        return patient.get(f"{base}{path}").status_code
    except httpx.TransportError:
        return 0


@contextlib.contextmanager
def replica(*options: str, ready: bool = True) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "-m", "midstage.local.replica", "--port", str(port), *options]
    process = subprocess.Popen(command)
    base = f"http://127.0.0.1:{port}"
    try:
        await_true(lambda: answers(base, "/healthz") == 200, "alive")
        if ready:
            await_true(lambda: answers(base, "/readyz") == 200, "ready")
        yield Running(base=base, process=process)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def fast() -> Iterator[Running]:
    with replica("--speed", "50", "--cold-start-s", "0") as running:
        yield running


def chat(words: int, tokens: int, *, stream: bool = False) -> dict[str, object]:
    return {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": " ".join(["word"] * (words - 2))},
        ],
        "max_tokens": tokens,
        "stream": stream,
    }


def events(text: str) -> list[dict[str, object]]:
    lines = text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


@slow
def test_plain_and_streamed_answers_carry_the_words_and_the_usage_that_were_counted(
    fast: Running,
) -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 40, "total_tokens": 52}
    plain = patient.post(f"{fast.base}{PATH}", json=chat(12, 40)).json()
    said = plain["choices"][0]["message"]["content"]
    assert len(said.split()) == 40
    assert plain["usage"] == usage

    streamed = events(patient.post(f"{fast.base}{PATH}", json=chat(12, 40, stream=True)).text)
    *tokens, last = streamed
    deltas = [token["choices"][0]["delta"] for token in tokens]  # type: ignore[index]  # JSON
    assert [delta.get("role") for delta in deltas] == ["assistant", *[None] * 39]
    assert "".join(delta["content"] for delta in deltas) == said
    reasons = [token["choices"][0]["finish_reason"] for token in tokens]  # type: ignore[index]
    assert reasons == [*[None] * 39, "length"]
    assert {token["usage"] for token in tokens} == {None}
    assert (last["choices"], last["usage"]) == ([], usage)


@slow
@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "can't be read"),
        (b'{"model":"m","max_tokens":1}', 400, "messages"),
        (b'{"model":"m","messages":[],"max_tokens":1}', 400, "messages"),
        (b'{"messages":[{"role":"user","content":"a"}]}', 400, "model"),
        (b'{"model":"m","messages":[{"role":"user","content":"a"}],"max_tokens":0}', 400, ">= 1"),
        (b'{"model":"m","messages":[{"role":"user","content":"a"}],"n":2}', 400, "<= 1"),
        (json.dumps(chat(32_000, 1000)).encode(), 400, "32768"),
        (b" " * (wire.BODY_BYTES + 1), 413, "larger than"),
    ],
)
def test_what_cant_be_answered_is_refused_in_openais_error_form(
    fast: Running, body: bytes, status: int, says: str
) -> None:
    answer = patient.post(f"{fast.base}{PATH}", content=body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert says in error["message"]
    assert error["type"] == "invalid_request_error"


@slow
def test_only_chat_completions_are_there(fast: Running) -> None:
    assert patient.get(f"{fast.base}{PATH}").status_code == 404
    assert "POST /v1/chat" in patient.post(f"{fast.base}/v1/x").json()["error"]["message"]


@slow
def test_the_first_token_takes_longer_for_a_long_prompt() -> None:
    def first_byte_s(words: int) -> float:
        body = chat(words, 2, stream=True)
        begun = time.monotonic()
        with patient.stream("POST", f"{one.base}{PATH}", json=body) as answer:
            next(answer.iter_bytes())
            return time.monotonic() - begun

    with replica("--speed", "1", "--cold-start-s", "0") as one:
        long_s = 0.06 + 20_000 * 0.000_024
        assert first_byte_s(20_000) >= long_s
        assert first_byte_s(10) >= 0.06
        await_true(lambda: first_byte_s(10) < long_s, "the first token of a short prompt is early")


@slow
def test_a_full_queue_is_503_with_retry_after_and_a_free_slot_serves_again() -> None:
    async def story(base: str) -> None:
        async with patient.async_client(base_url=base) as callers:
            async with opened(callers), asyncio.TaskGroup() as tasks:
                waits = tasks.create_task(callers.post(PATH, json=chat(3, 2)))
                await asyncio.to_thread(one.await_stats, active=1, waiting=1)
                refused = await callers.post(PATH, json=chat(3, 2))
                assert refused.status_code == 503
                assert refused.headers["retry-after"] == "1"
                assert refused.json()["error"]["code"] == "queue_full"
                assert not waits.done()
                tasks.create_task(closed_soon())
            assert waits.result().status_code == 200

    leave = asyncio.Event()

    async def closed_soon() -> None:
        leave.set()

    @contextlib.asynccontextmanager
    async def opened(callers: httpx.AsyncClient) -> AsyncIterator[None]:
        """One streamed answer of 200 s that holds the only slot until ``leave``."""
        began = asyncio.Event()

        async def hold() -> None:
            body = chat(3, 7000, stream=True)
            async with callers.stream("POST", PATH, json=body) as answer:
                async for _ in answer.aiter_raw():
                    began.set()
                    if leave.is_set():
                        return

        holding = asyncio.create_task(hold())
        await asyncio.wait_for(began.wait(), WITHIN_S)
        yield
        await holding

    options = ("--slots", "1", "--queue", "1", "--cold-start-s", "0")
    with replica(*options) as one:
        asyncio.run(story(one.base))
        assert one.stats()["refused"] == 1


@slow
@pytest.mark.parametrize("stream", [True, False])
def test_when_the_caller_leaves_its_slot_is_free_at_once(stream: bool) -> None:
    with replica("--slots", "1", "--queue", "1", "--cold-start-s", "0") as one:
        host, port = one.base.removeprefix("http://").split(":")
        body = json.dumps(chat(3, 7000, stream=stream)).encode()
        with socket.create_connection((host, int(port))) as caller:
            head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            caller.sendall(head.encode() + body)
            one.await_stats(active=1)
        one.await_stats(active=0, left=1)


@slow
def test_a_cold_replica_is_alive_but_not_ready_and_answers_nothing() -> None:
    with replica("--cold-start-s", "600", ready=False) as cold:
        readiness = patient.get(f"{cold.base}/readyz")
        early = patient.post(f"{cold.base}{PATH}", json=chat(3, 2))
        assert readiness.status_code == 503
        assert "cold start" in readiness.json()["reason"]
        assert (early.status_code, early.headers["retry-after"]) == (503, "1")


@slow
def test_a_replica_is_warm_after_its_cold_start_and_no_sooner() -> None:
    begun = time.monotonic()
    with replica("--cold-start-s", "3", "--speed", "2") as one:
        assert time.monotonic() - begun >= 1.5
        assert patient.post(f"{one.base}{PATH}", json=chat(3, 2)).status_code == 200


@slow
def test_sigterm_lets_a_running_answer_finish_and_ends_with_0() -> None:
    with replica("--cold-start-s", "0") as one:
        with patient.stream("POST", f"{one.base}{PATH}", json=chat(3, 20, stream=True)) as answer:
            parts = answer.iter_text()
            text = next(parts)
            one.process.send_signal(signal.SIGTERM)
            text += "".join(parts)
        assert len(events(text)) == 21
        assert one.process.wait(WITHIN_S) == 0
        assert answers(one.base, "/healthz") == 0


@slow
def test_sigterm_breaks_off_what_outlasts_the_grace() -> None:
    with replica("--cold-start-s", "0", "--grace-s", "1") as one:
        with patient.stream("POST", f"{one.base}{PATH}", json=chat(3, 7000, stream=True)) as answer:
            parts = answer.iter_raw()
            next(parts)
            one.process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError):
                list(parts)
        assert one.process.wait(WITHIN_S) == 0


def test_a_full_house_refuses_and_slots_pass_on_in_order() -> None:
    served: list[int] = []

    async def story() -> None:
        house = Slots(slots=1, queue=3)
        held = asyncio.Event()

        async def guest(number: int) -> None:
            async with house.taken():
                served.append(number)
                await held.wait()

        tasks = []
        for number in range(4):
            tasks.append(asyncio.create_task(guest(number)))
            await asyncio.sleep(0)
        assert (house.active, house.waiting) == (1, 3)
        with pytest.raises(QueueFullError):
            await guest(9)
        tasks[1].cancel()  # leaves the queue, and its place is free
        await asyncio.gather(tasks[1], return_exceptions=True)
        tasks.append(asyncio.create_task(guest(4)))
        held.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (house.active, house.waiting) == (0, 0)

    asyncio.run(story())
    assert served == [0, 2, 3, 4]


@given(st.lists(st.text(alphabet="ab \n\té", max_size=30), min_size=1, max_size=5), st.booleans())
def test_prompt_tokens_are_the_words_of_all_messages(texts: list[str], parts: bool) -> None:
    contents = [[{"type": "text", "text": text}] if parts else text for text in texts]
    messages = [{"role": "user", "content": content} for content in contents]
    body = json.dumps({"model": "m", "messages": messages, "max_completion_tokens": 5}).encode()
    assert wire.asked(body).prompt_tokens == len(" ".join(texts).split())
    assert wire.asked(body).max_tokens == 5
