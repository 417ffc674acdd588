"""Asking another process over real sockets: each call is told once, whatever is at the address."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from midstage.throttle.adapters.http2 import frames
from midstage.throttle.adapters.http2.blocks import Blocks
from midstage.throttle.adapters.http2.calls import Answer, Calls
from midstage.throttle.adapters.http2.client import Client
from midstage.throttle.adapters.http2.connection import Connection
from midstage.throttle.adapters.http2.frames import GOAWAY, RST_STREAM, Code
from midstage.throttle.adapters.http2.replies import Failed, Reply
from midstage.throttle.adapters.http2.server import Server
from midstage.throttle.model.later import Later
from tests.ports import free_port

from . import http2

Loops = Callable[[], asyncio.AbstractEventLoop]
Heard = Callable[[int, bytes, asyncio.StreamWriter], Awaitable[None]]
"""What a peer does when bytes come on a connection, by the connection's number."""
HOST = "127.0.0.1"
WITHIN_S = 60.0
SOON_S = 0.05
ECHO, HELD = http2.ECHO.encode(), http2.LOUD.encode()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loops(request: pytest.FixtureRequest) -> Loops:
    made: Loops = request.param
    return made


def run(loops: Loops, story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WITHIN_S):
            await story()

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(bounded())


async def ask(
    client: Client,
    text: bytes = b"hello",
    path: bytes = ECHO,
    *,
    within_s: float = WITHIN_S,
    patiently: bool = False,
) -> Reply:
    told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    client.ask(path, text, told.set_result, within_s=within_s, patiently=patiently)
    return await told


@asynccontextmanager
async def port(at: int = 0) -> AsyncIterator[int]:
    """The port that throttle serves, with a call that is never answered."""
    answers: dict[bytes, Answer] = {
        ECHO: lambda said, _: said,
        HELD: lambda _said, _left_s: Later(),
    }
    server = Server(Blocks(Calls(answers=answers).asked), monotonic=time.monotonic)
    yield await server.open(HOST, at)
    await server.close(0.0)


class Peer:
    """Something at an address that does what a test says."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self.connections = self.ended = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while data := await reader.read(65_536):
                await self._heard(number, data, writer)
        except OSError:
            pass  # it was hung up on
        finally:
            self.ended += 1
            writer.close()


@asynccontextmanager
async def peer(heard: Heard) -> AsyncIterator[tuple[Peer, Client]]:
    made = Peer(heard)
    server = await asyncio.start_server(made.accept, HOST, 0)
    client = Client(f"{HOST}:{server.sockets[0].getsockname()[1]}")
    yield made, client
    client.close()
    server.close()
    while made.ended < made.connections:
        await asyncio.sleep(0.01)


def serving(also: Callable[[int, asyncio.StreamWriter], bool]) -> Heard:
    """Answers as throttle does, but where ``also`` does something else with what came."""
    connections: dict[int, Connection] = {}

    async def heard(number: int, data: bytes, writer: asyncio.StreamWriter) -> None:
        if also(number, writer):
            return
        if number not in connections:
            connections[number] = Connection(
                http2.blocks(lambda message, _: message),
                waited_s=lambda: 0.0,
                send=writer.write,
            )
        writer.write(connections[number].received(data))

    return heard


def is_silent(reply: Reply) -> bool:
    assert isinstance(reply, Failed)
    return reply.is_silent


def test_calls_of_one_turn_are_each_answered_and_a_slow_one_holds_up_nobody(loops: Loops) -> None:
    async def story() -> None:
        async with port() as bound:
            client = Client(f"{HOST}:{bound}")
            slow = asyncio.ensure_future(ask(client, path=HELD))
            texts = [f"{number}".encode() * (number % 50) for number in range(2_000)]
            assert await asyncio.gather(*(ask(client, each) for each in texts)) == texts
            assert not slow.done()
            assert isinstance(await ask(client, path=b"/nobody/Knows"), Failed)
            assert await ask(client, b"x" * 16_000) == b"x" * 16_000
            client.close()
            assert is_silent(await slow)
            assert client.is_idle

    run(loops, story)


def test_who_is_late_is_told_and_the_other_side_too(loops: Loops) -> None:
    frames_heard: list[http2.Frame] = []

    async def heard(_number: int, data: bytes, writer: asyncio.StreamWriter) -> None:
        if data.startswith(frames.PREFACE):
            data = data[len(frames.PREFACE) :]
            writer.write(frames.settings({}))
        frames_heard.extend(http2.framed(data))

    async def story() -> None:
        async with peer(heard) as (_, client):
            while not any(each.kind == RST_STREAM for each in frames_heard):
                assert is_silent(await ask(client, within_s=SOON_S))

    run(loops, story)


def test_nobody_there_is_said_at_once_and_who_is_patient_waits(loops: Loops) -> None:
    async def story() -> None:
        bound = free_port()
        client = Client(f"{HOST}:{bound}")
        assert [is_silent(await ask(client)) for _ in range(3)] == [True] * 3
        patient = asyncio.ensure_future(ask(client, patiently=True))
        assert is_silent(await ask(client))
        assert not patient.done()
        async with port(bound):
            assert await patient == b"hello"
            assert await ask(client) == b"hello"
            client.close()

    run(loops, story)


@pytest.mark.parametrize("address", ["", "nowhere", f"{HOST}:99999", f"{HOST}:port", "\udc80:1"])
def test_an_address_that_is_none_is_nobody(loops: Loops, address: str) -> None:
    async def story() -> None:
        client = Client(address)
        assert is_silent(await ask(client))
        assert client.is_idle

    run(loops, story)


def test_a_connection_that_says_nothing_is_left_for_a_new_one(loops: Loops) -> None:
    async def story() -> None:
        async with peer(serving(lambda number, _: number == 1)) as (made, client):
            while isinstance(reply := await ask(client, within_s=SOON_S), Failed):
                assert reply.is_silent
            assert reply == b"hello"
            assert made.connections >= 2
            while not made.ended:
                await asyncio.sleep(0.01)

    run(loops, story)


def test_who_does_not_read_is_left_and_nothing_is_kept_for_it(loops: Loops) -> None:
    stuck = asyncio.Event()

    async def heard(_number: int, _data: bytes, _writer: asyncio.StreamWriter) -> None:
        await stuck.wait()

    async def story() -> None:
        async with peer(heard) as (made, client):
            calls = [ask(client, b"x" * 16_000, within_s=SOON_S) for _ in range(200)]
            replies = await asyncio.gather(*calls)
            assert all(is_silent(each) for each in replies)
            client.close()
            assert client.is_idle
            stuck.set()
            while made.ended < made.connections:
                await asyncio.sleep(0.01)

    run(loops, story)


def test_who_says_goodbye_is_asked_once_more_on_a_new_connection(loops: Loops) -> None:
    def first(number: int, writer: asyncio.StreamWriter) -> bool:
        if number == 1:
            writer.write(frames.settings({}) + frames.goaway(0, Code.NO_ERROR))
        return number == 1

    async def story() -> None:
        async with peer(serving(first)) as (made, client):
            assert await ask(client) == b"hello"
            assert made.connections == 2

    run(loops, story)


def test_who_says_nothing_but_goodbye_is_not_asked_for_ever(loops: Loops) -> None:
    def each(_number: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(frames.settings({}) + frames.goaway(0, Code.NO_ERROR))
        return True

    async def story() -> None:
        async with peer(serving(each)) as (made, client):
            assert is_silent(await ask(client))
            assert made.connections == 2

    run(loops, story)


def test_who_speaks_something_else_is_told_so_and_left(loops: Loops) -> None:
    heard_last: list[bytes] = []

    async def heard(_number: int, data: bytes, writer: asyncio.StreamWriter) -> None:
        heard_last.append(data)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def story() -> None:
        async with peer(heard) as (made, client):
            assert is_silent(await ask(client))
            while not made.ended:
                await asyncio.sleep(0.01)
            [goodbye] = http2.framed(heard_last[-1])
            assert goodbye.kind == GOAWAY

    run(loops, story)


def test_who_hangs_up_in_a_call_is_connected_to_again(loops: Loops) -> None:
    def first(number: int, writer: asyncio.StreamWriter) -> bool:
        if number == 1:
            writer.close()
        return number == 1

    async def story() -> None:
        async with peer(serving(first)) as (made, client):
            assert is_silent(await ask(client))
            assert await ask(client) == b"hello"
            assert made.connections == 2

    run(loops, story)
