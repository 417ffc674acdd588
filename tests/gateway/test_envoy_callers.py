"""Odd and hostile callers, and replicas that state odd units: who pays, and what the log says."""

import json
import time

import pytest

from midstage.contracts.requests import Outcome
from midstage.testkit.waiting import within

from .conftest import ACME, DEADLINE_S, Edge, request
from .http2 import Http2
from .replica import Answering, Asked, Replica

pytestmark = pytest.mark.platform

CLOSE = {"connection": "close"}


def said(edge: Edge, data: bytes) -> bytes:
    """Say exactly this, and hear the answer to its end."""
    with edge.raw(data) as connection:
        return connection.makefile("rb").read()


@pytest.mark.parametrize(
    ("path", "app", "endpoint"),
    [
        ("/chat/../tight/v1", "tight", "/v1"),  # resolved first, so that limits are the target's
        ("/chat/%2e%2e/tight/v1", "tight", "/v1"),
        ("//chat//v1", "chat", "/v1"),
        ("/chat\\v1", "chat", "/v1"),
        ("/chat/..%2ftight", "chat", "/..%2ftight"),
        ("/chat%2fv1", "unknown", "/chat%2fv1"),
        ("/chatty", "unknown", "/chatty"),
        ("/Chat/v1", "unknown", "/Chat/v1"),
        ("/chat;x/v1", "unknown", "/chat;x/v1"),
        ("/chat/../../etc", "unknown", "/etc"),
        ("http://chat.localhost/v1/absolute", "chat", "/v1/absolute"),
    ],
)
def test_a_path_is_one_application_s_however_it_is_written(
    edge: Edge, path: str, app: str, endpoint: str
) -> None:
    said(edge, request(path, f"path {path}", **CLOSE))

    data = edge.event(f"path {path}").data
    assert (data.app, data.endpoint, data.customer) == (app, endpoint, "acme")


@pytest.mark.parametrize(
    ("host", "app"),
    [
        ("CHAT.LocalHost", "chat"),
        ("chat.localhost.", "unknown"),
        ("evil@chat.localhost", "unknown"),
        ("tight", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_host_is_one_application_s_or_nobody_s(edge: Edge, host: str, app: str) -> None:
    said(edge, request("/v1/host", f"host {host}.", host=host, **CLOSE))

    assert edge.event(f"host {host}.").data.app == app


@pytest.mark.parametrize(
    ("name", "lines", "known"),
    [
        ("bare", ["authorization: key-of-acme"], True),
        ("two", ["authorization: Bearer key-of-acme", "authorization: Bearer other"], False),
        ("twice", ["authorization: Bearer key-of-acme"] * 2, False),
        ("blanks", ["authorization: Bearer   key-of-acme"], False),
        ("small", ["authorization: bearer key-of-acme"], False),
        ("elsewhere", ["x-api-key: key-of-acme", "cookie: authorization=key-of-acme"], False),
        ("underscore", ["x_midstage_customer: acme", "proxy-authorization: key-of-acme"], False),
    ],
)
def test_one_key_in_one_header_says_who_calls(
    edge: Edge, replica: Replica, name: str, lines: list[str], known: bool
) -> None:
    before = len(replica.asked)
    head = [
        "GET /chat/v1/key?api_key=key-of-acme&authorization=key-of-acme HTTP/1.1",
        "host: any",
        "connection: close",
        f"x-midstage-ref: {name}",
        *lines,
    ]
    answer = said(edge, "\r\n".join([*head, "", ""]).encode())

    data = edge.event(name).data
    assert answer.startswith(b"HTTP/1.1 200" if known else b"HTTP/1.1 401")
    assert (data.customer, data.app) == ("acme" if known else "unknown", "chat")
    assert len(replica.asked) == before + known
    if known:
        assert "authorization" not in replica.asked[-1].headers


def test_pipelined_requests_are_each_counted_once(edge: Edge) -> None:
    answers = said(
        edge,
        request("/chat/v1/x", "pipe-1")
        + request("/other/v1/x", "pipe-2")
        + request("/chat/v1/x", "pipe-3", **CLOSE),
    )

    assert answers.count(b"HTTP/1.1 200") == 3
    apps = [edge.event(f"pipe-{n}").data.app for n in (1, 2, 3)]
    assert apps == ["chat", "other", "chat"]


def test_an_answer_that_nobody_waits_for_stops_no_other(edge: Edge, replica: Replica) -> None:
    """A caller gone early costs its own connection to the replica, never another's answer."""

    def whole(asked: Asked, answering: Answering) -> None:
        answering.plain(json.dumps({"path": asked.path}).encode() + b" " * 2_000_000)

    for n in range(4):
        replica.on(f"/v1/early-{n}", whole)
        edge.raw(request(f"/chat/v1/early-{n}", f"gone-{n}")).close()
        answer = edge.get(f"/chat/v1/early-{n}", f"stays-{n}")
        assert answer.json() == {"path": f"/v1/early-{n}"}
    for n in range(4):
        assert edge.event(f"stays-{n}").data.outcome is Outcome.OK


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"CONNECT any:80 HTTP/1.1\r\nhost: any:80\r\n\r\n", 401),
        (request("/chat/v1/big", "", **{"x-big": "a" * 70_000}), 431),
        (request("/chat/v1/many", "", **{f"x-{n}": "a" for n in range(150)}), 431),
        (
            request(
                "/chat/v1/smuggled", "", **{"content-length": "4", "transfer-encoding": "chunked"}
            ),
            400,
        ),
        (request("/chat/v1/nul", "a\0b"), 400),
        (b"GET /chat/v1/old HTTP/1.0\r\nauthorization: Bearer key-of-acme\r\n\r\n", 426),
        (request("/chat/v1/socket", "", connection="upgrade", upgrade="websocket"), 403),
    ],
)
def test_what_is_not_taken_is_answered_and_logged(
    edge: Edge, replica: Replica, data: bytes, status: int
) -> None:
    before, asked = len(edge.events()), len(replica.asked)

    with edge.raw(data) as connection:
        answer = connection.recv(65_536)

    assert int(answer.split()[1]) == status
    (event,) = within(
        DEADLINE_S,
        lambda: [event for event in edge.events()[before:] if event.data.status == status],
    )
    assert event.data.outcome in {Outcome.INVALID, Outcome.REFUSED}
    assert event.data.usage == {}
    # a request whose caller was gone early may arrive late
    later = [one.path for one in replica.asked[asked:] if not one.path.startswith("/v1/early-")]
    assert later == []


def test_a_caller_that_asks_before_it_sends_is_told_to_go_on(edge: Edge) -> None:
    head = request("/chat/v1/expect", "expect", **CLOSE, expect="100-continue")
    head = head.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n")
    with edge.raw(head) as connection:
        stream = connection.makefile("rb")
        assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
        connection.sendall(b"{}")
        assert b"HTTP/1.1 200 OK" in stream.read()

    data = edge.event("expect").data
    assert (data.outcome, data.bytes_in) == (Outcome.OK, 2)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_a_body_is_a_request(edge: Edge, replica: Replica, status: str) -> None:
    def bodiless(asked: Asked, answering: Answering) -> None:
        answering.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
        answering.head(status=status, content_type="application/json")

    replica.on("/v1/bodiless", bodiless)

    assert str(edge.get("/chat/v1/bodiless", status).status_code) == status[:3]
    data = edge.event(status).data
    assert (data.outcome, data.usage) == (Outcome.OK, {"requests": 1})


def test_a_caller_s_trailers_state_nothing(edge: Edge, replica: Replica) -> None:
    replica.on("/v1/trailers", lambda asked, answering: answering.plain(b"{}"))
    head = request("/chat/v1/trailers", "trailers", **CLOSE, **{"transfer-encoding": "chunked"})
    said(
        edge,
        head.replace(b"GET", b"POST")
        + b'2\r\n{}\r\n0\r\nx-midstage-customer: victim\r\nx-midstage-usage: {"images": 0}\r\n\r\n',
    )

    data = edge.event("trailers").data
    assert (data.customer, data.usage) == ("acme", {"requests": 1})


@pytest.mark.parametrize(
    "stated",
    [
        '{"a": {"b": 1}}',
        '{"a": 1e308}',
        '{"a": 1e400}',
        '{"a": 1%s}' % ("0" * 400),
        '{"a": NaN}',
        '{"\\ud800": 1}',
        '{"a": true}',
        json.dumps({f"unit-{n}": 1 for n in range(40)}),
        '{"a": 1, "%s": 1}' % ("b" * 5_000),
    ],
)
def test_a_hostile_statement_of_units_is_a_label(edge: Edge, replica: Replica, stated: str) -> None:
    replica.on(
        "/v1/hostile", lambda asked, answering: answering.plain(b"{}", x_midstage_usage=stated)
    )

    assert edge.get("/chat/v1/hostile", f"hostile {stated[:60]}").status_code == 200

    data = edge.event(f"hostile {stated[:60]}").data
    assert data.usage == {"requests": 1}
    assert 0 < len(data.labels["usage_unreadable"]) <= 200


def test_a_statement_of_a_megabyte_is_an_error_of_the_replica(edge: Edge, replica: Replica) -> None:
    def huge(asked: Asked, answering: Answering) -> None:
        answering.plain(b"{}", x_midstage_usage="9" * 1_000_000)

    replica.on("/v1/megabyte", huge)

    assert edge.get("/chat/v1/megabyte", "megabyte").status_code == 502
    assert edge.event("megabyte").data.outcome is Outcome.ERROR
    assert edge.get("/chat/v1/x", "after the megabyte").status_code == 200


def test_a_caller_sees_the_units_that_the_replica_stated(edge: Edge, replica: Replica) -> None:
    stated = '{"images": 2}'
    replica.on(
        "/v1/stated", lambda asked, answering: answering.plain(b"{}", x_midstage_usage=stated)
    )

    answer = edge.get("/chat/v1/stated", "stated")

    assert answer.headers["x-midstage-usage"] == stated
    assert "x-midstage-customer" not in answer.headers


def test_readiness_checks_are_nobody_s_requests(edge: Edge) -> None:
    checks = edge.stat("cluster.chat.health_check.success")
    within(DEADLINE_S, lambda: edge.stat("cluster.chat.health_check.success") > checks)
    edge.get("/chat/v1/after-check", "after-check")

    edge.event("after-check")
    assert "/readyz" not in {event.data.endpoint for event in edge.events()}


def word(text: str) -> bytes:
    return json.dumps({"choices": [{"delta": {"content": text}}]}).encode()


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_an_http2_caller_that_leaves_pays_for_what_came(
    edge: Edge, replica: Replica, how: str
) -> None:
    def endless(asked: Asked, answering: Answering) -> None:
        answering.events(word("a"), word("b"))
        answering.gone()

    replica.on(f"/v1/h2-{how}", endless)
    caller = Http2(edge.port)
    caller.get(1, f"/chat/v1/h2-{how}", {**ACME, "x-midstage-ref": f"h2-{how}"})
    caller.body(1, until=b'"b"')
    if how == "reset":
        caller.reset(1)
        caller.get(3, "/chat/v1/x", {**ACME, "x-midstage-ref": "h2-goes-on"})
        assert caller.body(3) == b"{}"
        assert edge.event("h2-goes-on").data.outcome is Outcome.OK
    caller.close()

    data = edge.event(f"h2-{how}").data
    assert (data.outcome, data.estimated) == (Outcome.CANCELLED, True)
    assert data.usage == {"requests": 1, "output_tokens": 2}


def test_a_caller_that_reads_slowly_gets_and_pays_all(edge: Edge, replica: Replica) -> None:
    words = [word("w" * 10_000)] * 600
    usage = json.dumps({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 600}})

    def much(asked: Asked, answering: Answering) -> None:
        answering.events(*words, usage.encode())
        answering.end()

    replica.on("/v1/much", much)
    with edge.raw(request("/chat/v1/much", "much", **CLOSE)) as caller:
        time.sleep(0.3)  # Envoy's and the kernel's buffers are full by now
        heard = caller.makefile("rb").read()

    data = edge.event("much").data
    assert heard.count(b"data: ") == 601
    assert data.usage == {"requests": 1, "input_tokens": 1, "output_tokens": 600}
