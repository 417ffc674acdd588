"""The HTTP side as callers see it: over a real socket, from a process run in a thread."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Body, FastAPI, Request, Response
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from starlette.types import Message, Receive, Scope, Send

from midstage.chassis import http as chassis_http
from midstage.chassis.guard import BODY_BYTES, Guard
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.testkit.waiting import within
from tests import patient

TOKEN = "t0ken-of-the-test"
HOLDS = {"authorization": f"Bearer {TOKEN}"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


@dataclass
class Service:
    """A small service under test: what its changing route was given, and where it listens."""

    readiness: Readiness = field(default_factory=Readiness)
    changes: list[bytes] = field(default_factory=list)
    away: list[str] = field(default_factory=list)
    address: str = ""

    def app(self) -> FastAPI:
        self.readiness.add("log", lambda: self.away[0] if self.away else None)
        return chassis_http.build(
            service="tale",
            version="1.2.3",
            readiness=self.readiness,
            registry=CollectorRegistry(),
            token=TOKEN,
            routers=[self.router()],
        )

    def router(self) -> APIRouter:
        router = APIRouter()

        @router.post("/v1/things")
        @router.put("/v1/things")
        @router.patch("/v1/things")
        @router.delete("/v1/things")
        @router.api_route("/v1/things", methods=["PURGE"], include_in_schema=False)
        async def change(request: Request) -> dict[str, int]:
            self.changes.append(await request.body())
            return {"changes": len(self.changes)}

        @router.put("/v1/things/{number}")
        def put(number: int, rate: Annotated[float, Body(embed=True, gt=0)]) -> dict[str, float]:
            return {str(number): rate}

        @router.get("/v1/{error}")
        def fail(error: str) -> None:
            match error:
                case "refused":
                    raise RefusedError("there is no such limit; list them", status=404)
                case "unavailable":
                    raise UnavailableError("the log is away")
                case _:
                    raise KeyError("a secret of the inside")

        return router


@pytest.fixture(scope="module")
def service(free_port: int) -> Iterator[Service]:
    service = Service(address=f"127.0.0.1:{free_port}")
    process = Process(
        service="tale", app=service.app(), host="127.0.0.1", port=free_port, stop_within_s=60
    )
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(process.run()))
    thread.start()
    within(60, lambda: _answers(service))
    yield service
    process.stop()
    thread.join(timeout=60)
    assert codes == [0]


def _answers(service: Service) -> bool:
    try:
        return ask(service, "GET", "/healthz").status_code == 200
    except httpx.TransportError:
        return False


def ask(service: Service, method: str, path: str, **more: object) -> httpx.Response:
    return patient.request(method, f"http://{service.address}{path}", **more)  # type: ignore[arg-type]  # httpx types each argument


def problem(answer: httpx.Response) -> dict[str, object]:
    """The problem document of an answer; what every problem must have is checked here."""
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, object] = answer.json()
    assert document["status"] == answer.status_code
    assert document["type"] == "about:blank"
    assert document["title"]
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


def test_alive_says_who_it_is(service: Service) -> None:
    answer = ask(service, "GET", "/healthz")
    assert answer.json() == {"status": "ok", "service": "tale", "version": "1.2.3"}


def test_ready_until_a_part_makes_no_progress(service: Service) -> None:
    assert ask(service, "GET", "/readyz").status_code == 200
    service.away.append("no record for 12 s")
    document = problem(ask(service, "GET", "/readyz"))
    service.away.clear()
    assert document["status"] == 503
    assert document["reasons"] == {"log": "no record for 12 s"}
    assert document["detail"] == "log: no record for 12 s"
    assert ask(service, "GET", "/readyz").status_code == 200


def test_a_check_that_can_not_be_made_is_a_reason() -> None:
    def check() -> str | None:
        raise UnavailableError("the broker is away")

    readiness = Readiness()
    readiness.add("fine", lambda: None)
    readiness.add("log", check)
    assert readiness.reasons() == {"log": "the broker is away"}
    with pytest.raises(ValueError, match="'log' is there already"):
        readiness.add("log", check)


def test_requests_are_counted_by_route(service: Service) -> None:
    ask(service, "PUT", "/v1/things/1", headers=HOLDS, json={"rate": 1})
    ask(service, "PUT", "/v1/things/2", headers=HOLDS, json={"rate": 1})
    ask(service, "GET", "/nowhere/at/all")
    said = ask(service, "GET", "/metrics")
    assert said.headers["content-type"].startswith("text/plain; version=1.0.0")
    counted = 'midstage_tale_http_requests_total{method="PUT",route="%s",status="200"} 2.0'
    assert counted % "/v1/things/{number}" in said.text
    assert "process_resident_memory_bytes" in said.text
    assert "/nowhere" not in said.text


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/nowhere", 404, "nothing is at /nowhere; /openapi.json says what is where"),
        ("GET", "/v1/refused", 404, "there is no such limit; list them"),
        ("GET", "/v1/unavailable", 503, "the log is away"),
        ("POST", "/healthz", 405, "/healthz does not take POST"),
        ("PUT", "/v1/things/x", 422, "path.number: Input should be a valid integer"),
    ],
)
def test_every_error_is_a_problem(
    service: Service, method: str, path: str, status: int, detail: str
) -> None:
    answer = ask(service, method, path, headers=HOLDS)
    assert answer.status_code == status
    assert str(problem(answer)["detail"]).startswith(detail)


def test_an_unknown_error_tells_nothing_of_the_inside(service: Service) -> None:
    answer = ask(service, "GET", "/v1/bug", headers={"x-request-id": "call-7"})
    assert answer.status_code == 500
    assert problem(answer)["request_id"] == "call-7"
    assert "secret" not in answer.text
    assert "KeyError" not in answer.text


def test_a_405_says_what_is_allowed_and_a_503_when_to_ask_again(service: Service) -> None:
    assert ask(service, "DELETE", "/healthz", headers=HOLDS).headers["allow"] == "GET"
    assert ask(service, "GET", "/v1/unavailable").headers["retry-after"] == "1"


def test_invalid_input_is_said_field_by_field(service: Service) -> None:
    answer = ask(service, "PUT", "/v1/things/1", headers=HOLDS, json={"rate": -1})
    assert problem(answer)["errors"] == [
        {"where": "body.rate", "message": "Input should be greater than 0"}
    ]
    said = {**HOLDS, "content-type": "application/json"}
    broken = ask(service, "PUT", "/v1/things/1", headers=said, content=b"{")
    assert broken.status_code == 422
    assert "JSON" in str(problem(broken)["detail"])


def test_a_body_that_does_not_say_it_is_json_is_told_so(service: Service) -> None:
    form = {**HOLDS, "content-type": "application/x-www-form-urlencoded"}  # curl's own, with -d
    answer = ask(service, "PUT", "/v1/things/1", headers=form, content=b'{"rate": 1}')
    assert answer.status_code == 422
    said = "content-type: 'application/x-www-form-urlencoded' is not application/json"
    assert problem(answer)["detail"] == said


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE", "get"])
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"],
)
def test_no_change_without_the_token(
    service: Service, method: str, authorization: str | None
) -> None:
    before = len(service.changes)
    headers = {} if authorization is None else {"authorization": authorization}
    connection = http.client.HTTPConnection(service.address, timeout=60)
    connection.request(method, "/v1/things", body=b"x", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="midstage"'
    assert json.loads(answer.read())["status"] == 401
    assert len(service.changes) == before


@pytest.mark.parametrize("path", ["/v1/things", "/nowhere", "/healthz", "/openapi.json", "//"])
def test_a_route_that_is_not_there_wants_the_token_too(service: Service, path: str) -> None:
    assert ask(service, "POST", path).status_code == 401


def test_two_tokens_are_none(service: Service) -> None:
    both = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer other")]
    assert ask(service, "POST", "/v1/things", headers=both).status_code == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE"])
def test_the_token_opens_every_change(service: Service, method: str) -> None:
    answer = ask(service, method, "/v1/things", headers=HOLDS, content=method.encode())
    assert answer.status_code == 200
    assert service.changes[-1] == method.encode()
    lower = ask(service, method, "/v1/things", headers={"authorization": f"bearer {TOKEN}"})
    assert lower.status_code == 200


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Guard(FastAPI(), token="  ")


def test_a_path_may_take_larger_bodies_than_the_others() -> None:
    taken: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        taken.append(len((await receive())["body"]))
        await Response()(scope, receive, send)

    client = TestClient(Guard(app, token=TOKEN, bodies={"/large": BODY_BYTES + 1}))
    headers = {"authorization": f"Bearer {TOKEN}"}
    body = b"x" * (BODY_BYTES + 1)
    assert client.post("/large", content=body, headers=headers).status_code == 200
    assert client.post("/large", content=body + b"x", headers=headers).status_code == 413
    assert client.post("/other", content=body, headers=headers).status_code == 413
    assert taken == [BODY_BYTES + 1]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_up_to_the_limit_passes_whole(service: Service, chunked: bool) -> None:
    body = bytes(range(256)) * (BODY_BYTES // 256)
    content = iter([body[:7], b"", body[7:]]) if chunked else body
    assert ask(service, "POST", "/v1/things", headers=HOLDS, content=content).status_code == 200
    assert service.changes[-1] == body


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("above", [1, BODY_BYTES])
def test_a_larger_body_reaches_no_route(service: Service, chunked: bool, above: int) -> None:
    before = len(service.changes)
    body = b"x" * (BODY_BYTES + above)
    pieces = (body[at : at + 4096] for at in range(0, len(body), 4096))
    content = pieces if chunked else body
    answer = ask(service, "POST", "/v1/things", headers=HOLDS, content=content)
    assert answer.status_code == 413
    detail = problem(answer)["detail"]
    assert (
        detail
        == f"the body is larger than {BODY_BYTES} bytes; nothing was taken, send less at once"
    )
    assert len(service.changes) == before


def test_half_a_body_reaches_no_route(service: Service) -> None:
    before = len(service.changes)
    host, _, port = service.address.partition(":")
    with socket.create_connection((host, int(port))) as caller:
        head = f"POST /v1/things HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
        caller.sendall(f"{head}content-length: 10\r\n\r\nhalf".encode())
    left = 'midstage_tale_http_requests_total{method="POST",route="none",status="499"} 1.0'
    assert within(60, lambda: left in ask(service, "GET", "/metrics").text)
    assert len(service.changes) == before


def test_an_error_of_ours_is_counted_as_one(service: Service) -> None:
    ask(service, "GET", "/v1/bug")
    failed = 'midstage_tale_http_requests_total{method="GET",route="/v1/{error}",status="500"}'
    assert failed in ask(service, "GET", "/metrics").text


def test_ids_of_the_caller_are_kept_where_they_are_well_formed(service: Service) -> None:
    kept = ask(service, "GET", "/healthz", headers={"x-request-id": "abc-1.2"})
    assert kept.headers["x-request-id"] == "abc-1.2"
    for odd in ("a b", "x" * 129, 'a"b'):
        made = ask(service, "GET", "/healthz", headers={"x-request-id": odd})
        assert len(made.headers["x-request-id"]) == 32


def test_the_api_says_that_changes_need_the_token(service: Service) -> None:
    paths = ask(service, "GET", "/openapi.json").json()["paths"]
    assert paths["/v1/things"]["post"]["security"] == [{"token": []}]
    assert "security" not in paths["/v1/{error}"]["get"]
    assert (
        "application/problem+json" in paths["/v1/{error}"]["get"]["responses"]["default"]["content"]
    )


@settings(deadline=None)
@given(
    pieces=st.lists(st.binary(max_size=8), max_size=8),
    limit=st.integers(min_value=0, max_value=32),
)
def test_whatever_the_pieces_the_whole_passes_or_nothing(pieces: list[bytes], limit: int) -> None:
    got: list[bytes] = []
    statuses: list[int] = []

    async def app(scope: object, receive: object, send: object) -> None:
        request = Request(scope, receive)  # type: ignore[arg-type]  # ASGI's own loose types
        got.append(await request.body())

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def story() -> None:
        left = [*pieces, b""]

        async def receive() -> Message:
            body = left.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(left)}

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        await Guard(app, token=TOKEN, body_bytes=limit)(scope, receive, send)

    asyncio.run(story())
    whole = b"".join(pieces)
    assert (got, statuses) == (([whole], []) if len(whole) <= limit else ([], [413]))


def test_no_websockets() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    guard = Guard(FastAPI(), token=TOKEN)
    asyncio.run(guard({"type": "websocket", "headers": [], "path": "/"}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_a_route_that_knows_keys_of_its_own_hears_who_has_the_token() -> None:
    router = APIRouter()

    @router.post("/v1/mine")
    @router.post("/v1/mine/more")
    def who(request: Request) -> dict[str, bool]:
        return {"operator": request.state.operator}

    app = chassis_http.build(
        service="tale",
        version="1.2.3",
        readiness=Readiness(),
        registry=CollectorRegistry(),
        token=TOKEN,
        routers=[router],
        own_keys=["/v1/mine"],
    )
    client = TestClient(app)
    assert client.post("/v1/mine", headers=HOLDS).json() == {"operator": True}
    for headers in ({}, {"authorization": "Bearer another"}, {"authorization": TOKEN}):
        assert client.post("/v1/mine", headers=headers).json() == {"operator": False}
        assert client.post("/v1/mine/more", headers=headers).status_code == 401
