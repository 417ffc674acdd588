"""The port: real sockets, grpcio's own caller, both event loops."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import grpc
import pytest
import uvloop

from midstage.throttle.adapters.http2 import frames
from midstage.throttle.adapters.http2.calls import Answer
from midstage.throttle.adapters.http2.frames import GOAWAY, PREFACE, Code
from midstage.throttle.adapters.http2.server import Server

from .http2 import ECHO, LOUD, answered, begun, blocks, framed

Loops = Callable[[], asyncio.AbstractEventLoop]
Story = Callable[[Server, int], Awaitable[None]]
WITHIN_S = 60.0
HOST = "127.0.0.1"


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loops(request: pytest.FixtureRequest) -> Loops:
    made: Loops = request.param
    return made


def told(
    loops: Loops,
    story: Story,
    *,
    answer: Answer = answered,
    most_connections: int = 100,
    swept_each_s: float = 10.0,
) -> None:
    async def run() -> None:
        server = Server(
            blocks(answer),
            monotonic=time.monotonic,
            most_connections=most_connections,
            swept_each_s=swept_each_s,
        )
        port = await server.open(HOST, 0)
        async with asyncio.timeout(WITHIN_S):
            await story(server, port)
        await server.close(1.0)

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(run())


@asynccontextmanager
async def channel(port: int) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"{HOST}:{port}") as made:
        yield made


async def ask(
    made: grpc.aio.Channel,
    text: bytes,
    path: str = ECHO,
    *,
    timeout: float | None = None,
    compression: grpc.Compression | None = None,
) -> bytes:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = made.unary_unary(path, bytes, bytes)
    return await call(text, timeout=timeout, compression=compression)


def test_parallel_calls_of_grpcio_are_each_answered(loops: Loops) -> None:
    async def story(_server: Server, port: int) -> None:
        async with channel(port) as made:
            texts = [f"{number}".encode() * (number % 50) for number in range(1_000)]
            assert await asyncio.gather(*(ask(made, text) for text in texts)) == texts
            assert await ask(made, b"x", LOUD) == b"X"

    told(loops, story)


def test_deadlines_and_errors_arrive_as_grpcio_has_them(loops: Loops) -> None:
    async def story(_server: Server, port: int) -> None:
        async with channel(port) as made:
            text, left_s = (await ask(made, b"t", timeout=50.0)).split()
            assert text == b"t"
            assert 40 < float(left_s) < 51  # grpcio says it in three digits, and rounds up
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(made, b"refuse")
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert refused.value.details() == "100 % wrong"
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await ask(made, b"x", "/no.Such/Call")
            assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED
            with pytest.raises(grpc.aio.AioRpcError) as packed:
                await ask(made, b"x" * 2_000, compression=grpc.Compression.Gzip)
            assert packed.value.code() is grpc.StatusCode.UNIMPLEMENTED

    told(loops, story)


def test_what_waited_while_the_loop_was_busy_has_waited(loops: Loops) -> None:
    """Half a second in which nothing is read counts, though no socket tells of it."""

    async def story(server: Server, port: int) -> None:
        with grpc.insecure_channel(f"{HOST}:{port}") as made:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = made.unary_unary(ECHO, bytes, bytes)
            await asyncio.to_thread(call, b"t")  # it is connected
            # where the machine is busy it may be sent only when the loop is not: then once more
            while await left_of(call) > 50 - 0.2:
                pass
        while server.waited_s() > 0.05:
            await asyncio.sleep(0.01)
        async with channel(port) as again:
            assert float((await ask(again, b"t", timeout=50.0)).split()[1]) > 45

    told(loops, story)


async def left_of(call: "grpc.UnaryUnaryMultiCallable[bytes, bytes]") -> float:
    """What is left of 50 s to a call that is made just before the loop is busy."""
    asked = call.future(b"t", timeout=50.0)
    time.sleep(0.5)  # this is the busy loop that the test is about
    answer = await asyncio.to_thread(asked.result)
    return float(answer.split()[1])


def test_an_answer_that_breaks_ends_the_server(loops: Loops) -> None:
    def broken(_message: bytes, _left_s: float | None) -> bytes:
        raise KeyError("a fault of ours")

    async def story(server: Server, port: int) -> None:
        serving = asyncio.create_task(server.serve(asyncio.Event()))
        async with channel(port) as made:
            with pytest.raises(grpc.aio.AioRpcError):
                await ask(made, b"x", timeout=30.0)
        with pytest.raises(KeyError):
            await serving

    told(loops, story, answer=broken)


def test_a_stop_is_a_goodbye_and_no_more_connections(loops: Loops) -> None:
    async def story(server: Server, port: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        peer = begun()
        writer.write(PREFACE + frames.settings({}) + peer.opening())
        await reader.readexactly(36)  # its settings, and that it has ours
        closing = asyncio.create_task(server.close(WITHIN_S))
        [goodbye] = framed(await reader.readexactly(17))
        assert (goodbye.kind, goodbye.payload) == (GOAWAY, b"\x00\x00\x00\x01" + b"\x00" * 4)
        writer.write(peer.data(b"\x00\x00\x00\x00\x01x", end=True))  # it was open
        found = framed(await reader.read())
        await closing
        assert peer.told(found)[0] == b"x"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)
        writer.close()

    told(loops, story)


def test_who_speaks_something_else_is_told_so(loops: Loops) -> None:
    async def story(_server: Server, port: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        goodbye = framed(await reader.read())[-1]
        assert goodbye.kind == GOAWAY
        assert goodbye.payload[7] == Code.PROTOCOL_ERROR
        assert b"prior knowledge" in goodbye.payload
        writer.close()

    told(loops, story)


def test_who_says_nothing_is_hung_up_on(loops: Loops) -> None:
    async def story(_server: Server, port: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    told(loops, story, swept_each_s=0.05)


def test_one_connection_too_many_is_hung_up_on(loops: Loops) -> None:
    async def story(_server: Server, port: int) -> None:
        async with channel(port) as made:
            assert await ask(made, b"first") == b"first"
            with socket.create_connection((HOST, port)) as second:
                second.setblocking(False)
                got = asyncio.get_running_loop().sock_recv(second, 1)
                with suppress(ConnectionResetError):
                    assert await got == b""
            assert await ask(made, b"still") == b"still"

    told(loops, story, most_connections=1, swept_each_s=10 * WITHIN_S)  # who is silent may stay


def test_a_slow_reader_holds_up_itself_alone(loops: Loops) -> None:
    """It asks without reading until nothing more is taken from it; others are answered."""

    async def story(_server: Server, port: int) -> None:
        loop = asyncio.get_running_loop()
        peer = begun()
        with socket.create_connection((HOST, port)) as deaf:
            deaf.setblocking(False)
            await loop.sock_sendall(deaf, PREFACE + frames.settings({}))
            await loop.sock_sendall(deaf, frames.window(0, 2**30))
            said = 0
            try:
                while said < 2**28:
                    requests = b"".join(peer.request(b"x" * 10_000) for _ in range(20))
                    async with asyncio.timeout(2.0):
                        await loop.sock_sendall(deaf, requests)
                    said += len(requests)
            except TimeoutError:
                pass
            assert said < 2**28
            async with channel(port) as made:
                assert await ask(made, b"others") == b"others"

    told(loops, story)
