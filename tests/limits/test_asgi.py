"""The middleware before an application of no framework, with leases of a real throttle."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from midstage.limits.asgi import LimitsMiddleware, Receive, Scope, Send
from midstage.limits.client import Limits
from tests.limits.conftest import TOKEN, Running, limited
from tests.ports import free_port

WITHIN_S = 60.0


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers everything."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


def run(limits: Limits, story: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def told() -> None:
        limited_app = LimitsMiddleware(
            app, limits=limits, service="chat", customer="x-who", old=True
        )
        transport = httpx.ASGITransport(app=limited_app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as caller:
            await story(caller)
        await limits.close()

    asyncio.run(told())


def limits_of(throttle: Running, holder: str) -> Limits:
    return Limits(str(throttle.http.base_url), holder=holder, token=TOKEN, within_s=WITHIN_S)


def test_who_asks_too_often_is_told_when_to_come_back(throttle: Running) -> None:
    limited(throttle, "asgi")

    async def story(caller: httpx.AsyncClient) -> None:
        answers = [await caller.get("/", headers={"x-who": "asgi"}) for _ in range(40)]
        statuses = [answer.status_code for answer in answers]
        served, refused = answers[0], answers[-1]
        assert statuses == sorted(statuses)
        assert 8 <= statuses.count(200) <= 32
        assert served.text == "served"
        assert served.headers["ratelimit"].startswith('"asgi";r=')
        assert served.headers["ratelimit-policy"] == '"asgi";q=32;w=19200'
        assert served.headers["x-ratelimit-limit"] == "32"
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) >= 1
        document = refused.json()
        assert document["type"].endswith("#quota-exceeded")
        assert document["violated-policies"] == ["asgi"]

    run(limits_of(throttle, "asgi"), story)


def test_who_has_no_name_passes_and_a_name_that_is_none_does_not(throttle: Running) -> None:
    async def story(caller: httpx.AsyncClient) -> None:
        assert (await caller.get("/")).status_code == 200
        assert (await caller.get("/", headers={"x-who": "x" * 300})).status_code == 400

    run(limits_of(throttle, "names"), story)


def test_where_nobody_knows_the_answer_is_503() -> None:
    async def story(caller: httpx.AsyncClient) -> None:
        answer = await caller.get("/", headers={"x-who": "acme"})
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("#temporary-reduced-capacity")

    run(Limits(f"http://127.0.0.1:{free_port()}", holder="alone"), story)


def test_a_server_that_shuts_down_gives_its_leases_back(throttle: Running) -> None:
    limited(throttle, "shutting")
    limits = limits_of(throttle, "shutting")
    said: list[str] = []

    async def lives(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.shutdown.complete"})

    async def told() -> None:
        async def send(message: Scope) -> None:
            said.append(message["type"])

        async def receive() -> Scope:
            return {"type": "lifespan.shutdown"}

        await limits.admit("shutting", app="chat")
        await LimitsMiddleware(lives, limits=limits, service="chat")(
            {"type": "lifespan"}, receive, send
        )

    asyncio.run(told())
    assert said == ["lifespan.shutdown.complete"]
    (row,) = throttle.http.get("/v1/customers/shutting/limits").json()["limits"]
    assert row["remaining"] == 31
