"""Real requests through a real Envoy: who is who, what goes where, and what the log says of it."""

import json

import pytest

from midstage.contracts.requests import Outcome
from midstage.testkit.waiting import within
from tests import patient

from .conftest import ACME, Edge, request
from .replica import Answering, Asked, Replica

pytestmark = pytest.mark.platform


def last(replica: Replica, path: str) -> Asked:
    return [asked for asked in replica.asked if asked.path == path][-1]


def test_a_request_is_logged_as_it_was(edge: Edge, replica: Replica) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = edge.get(
        "/chat/v1/models?limit=1", "plain", traceparent=f"00-{trace}-00f067aa0ba902b7-01"
    )

    event = edge.event("plain")
    assert answer.status_code == 200
    assert event.id == answer.headers["x-request-id"]
    assert (event.data.app, event.data.customer) == ("chat", "acme")
    assert (event.data.status, event.data.outcome) == (200, Outcome.OK)
    assert event.data.endpoint == "/v1/models"
    assert event.data.usage == {"requests": 1}
    assert not event.data.estimated
    assert event.data.bytes_out == len(answer.content)
    assert event.data.pod == f"127.0.0.1:{replica.port}"
    assert event.data.trace_id == trace
    assert event.data.duration_ms > 0


def test_a_replica_sees_the_customer_and_no_key(edge: Edge, replica: Replica) -> None:
    edge.get("/chat/v1/whoami", "whoami", accept_encoding="gzip")

    headers = last(replica, "/v1/whoami").headers
    assert headers["x-midstage-customer"] == "acme"
    assert "authorization" not in headers
    assert "accept-encoding" not in headers


def test_what_a_caller_says_in_our_headers_is_removed(edge: Edge, replica: Replica) -> None:
    answer = edge.get(
        "/chat/v1/spoof",
        "spoof",
        x_midstage_customer="victim",
        x_midstage_usage='{"input_tokens": 0}',
        x_request_id="mine",
        x_envoy_retry_on="5xx",
        x_envoy_upstream_rq_timeout_ms="1",
    )

    headers = last(replica, "/v1/spoof").headers
    assert headers["x-midstage-customer"] == "acme"
    assert headers["x-request-id"] == answer.headers["x-request-id"] != "mine"
    assert not {"x-midstage-usage", "x-envoy-retry-on", "x-envoy-upstream-rq-timeout-ms"} & set(
        headers
    )
    assert edge.event("spoof").data.customer == "acme"


def test_two_spellings_of_our_header_spoof_nobody(edge: Edge, replica: Replica) -> None:
    edge.raw(
        request(
            "/chat/v1/spellings",
            "spellings",
            **{"X_Midstage_Customer": "victim", "X-MIDSTAGE-CUSTOMER": "victim"},
            connection="close",
        )
    ).makefile("rb").read()

    headers = last(replica, "/v1/spellings").headers
    assert [value for name, value in headers.items() if "customer" in name] == ["acme"]
    assert edge.event("spellings").data.customer == "acme"


@pytest.mark.parametrize("key", ["Bearer wrong", "", "Basic key-of-acme"])
def test_an_unknown_key_is_refused_as_nobody(edge: Edge, replica: Replica, key: str) -> None:
    before = len(replica.asked)
    ref = f"key:{key}."

    answer = edge.get("/chat/v1/secret", ref, authorization=key, x_midstage_customer="acme")

    event = edge.event(ref)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "authorization: Bearer" in answer.json()["detail"]
    assert (event.data.customer, event.data.app) == ("unknown", "chat")
    assert (event.data.outcome, event.data.usage) == (Outcome.REFUSED, {})
    assert len(replica.asked) == before


def test_an_application_is_found_by_host_and_port_too(edge: Edge, replica: Replica) -> None:
    edge.get("/v1/by-host", "host", host="chat.localhost:8443")

    assert last(replica, "/v1/by-host").path == "/v1/by-host"
    assert (edge.event("host").data.app, edge.event("host").data.endpoint) == (
        "chat",
        "/v1/by-host",
    )


@pytest.mark.parametrize(
    ("path", "seen"), [("/chat", "/"), ("/chat/", "/"), ("/chat?x=1", "/?x=1"), ("/chat//a", "/a")]
)
def test_the_prefix_becomes_a_slash(edge: Edge, replica: Replica, path: str, seen: str) -> None:
    assert edge.get(path, f"prefix {path}").status_code == 200
    assert replica.asked[-1].path == seen
    assert edge.event(f"prefix {path}").data.endpoint == seen.partition("?")[0]


@pytest.mark.parametrize("path", ["/", "/chatter", "/nobody/v1"])
def test_nobody_answers_elsewhere_and_says_so(edge: Edge, path: str) -> None:
    answer = edge.get(path, f"nobody {path}")

    event = edge.event(f"nobody {path}")
    assert answer.status_code == 404
    assert "No application answers" in answer.json()["detail"]
    assert (event.data.app, event.data.outcome, event.data.usage) == (
        "unknown",
        Outcome.INVALID,
        {},
    )


def test_without_throttle_the_open_application_answers(edge: Edge) -> None:
    assert edge.get("/chat/v1/open", "open").status_code == 200
    assert edge.event("open").data.outcome is Outcome.OK


def test_without_throttle_the_closed_application_refuses(edge: Edge, replica: Replica) -> None:
    before = len(replica.asked)

    answer = edge.get("/tight/v1/closed", "closed")

    event = edge.event("closed")
    assert answer.status_code == 503
    assert "could not be asked" in answer.json()["detail"]
    assert (event.data.app, event.data.customer) == ("tight", "acme")
    assert (event.data.status, event.data.outcome, event.data.usage) == (503, Outcome.ERROR, {})
    assert len(replica.asked) == before


def test_a_broken_request_line_is_an_event_too(edge: Edge) -> None:
    answer = edge.raw(b"GET this is no request\r\n\r\n").recv(10_000)

    assert b"400 Bad Request" in answer
    (event,) = within(60, lambda: [event for event in edge.events() if event.data.status == 400])
    assert event.id == f"{event.source}/{event.seq}"
    assert (event.data.customer, event.data.app) == ("unknown", "unknown")
    assert event.data.outcome is Outcome.INVALID


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("201 Created", Outcome.OK),
        ("404 Not Found", Outcome.INVALID),
        ("401 Unauthorized", Outcome.INVALID),
        ("429 Too Many Requests", Outcome.INVALID),
        ("500 Internal Server Error", Outcome.ERROR),
        ("503 Service Unavailable", Outcome.ERROR),
    ],
)
def test_a_replica_s_own_refusal_is_not_the_gateway_s(
    edge: Edge, replica: Replica, status: str, outcome: Outcome
) -> None:
    before = len(replica.asked)
    replica.on(
        "/v1/status", lambda asked, answering: answering.plain(b'{"own": true}', status=status)
    )

    answer = edge.get("/chat/v1/status", status)

    event = edge.event(status)
    assert answer.json() == {"own": True}
    assert (event.data.status, event.data.outcome) == (answer.status_code, outcome)
    assert event.data.usage == ({"requests": 1} if outcome is Outcome.OK else {})
    assert len(replica.asked) == before + 1


def test_http2_without_tls_is_taken(edge: Edge) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    answer = edge.raw(preface).recv(100)

    assert answer[3] == 4  # a SETTINGS frame


def test_a_key_that_is_withdrawn_is_refused_on_an_open_connection(edge: Edge) -> None:
    edge.keys["key-of-beta"] = "beta"
    edge.configure()
    with patient.client(headers={"authorization": "Bearer key-of-beta"}) as caller:
        within(60, lambda: caller.get(edge.url("/chat/v1/beta")).status_code == 200)
        del edge.keys["key-of-beta"]
        edge.configure()
        within(60, lambda: caller.get(edge.url("/chat/v1/beta")).status_code == 401)
        assert caller.get(edge.url("/chat/v1/beta"), headers=ACME).status_code == 200


def test_a_huge_request_body_arrives_whole(edge: Edge, replica: Replica) -> None:
    def sized(asked: Asked, answering: Answering) -> None:
        answering.plain(json.dumps({"size": len(asked.body)}).encode())

    replica.on("/v1/upload", sized)
    body = b"x" * (5 * 1024 * 1024)

    answer = patient.post(
        edge.url("/chat/v1/upload"), content=body, headers={**ACME, "x-midstage-ref": "huge"}
    )

    assert answer.json() == {"size": len(body)}
    assert edge.event("huge").data.bytes_in == len(body)


@pytest.mark.parametrize(
    "ref", [b"\xff\xfe\x80", "é".encode() * 200, b"a" + "é".encode() * 200, b'"}\\', b"x" * 5000]
)
def test_no_caller_can_make_a_line_that_is_none(edge: Edge, ref: bytes) -> None:
    path = f"/v1/odd/{ref.hex()[:20]}"
    bearer = ACME["authorization"].encode()
    edge.raw(
        f"GET /chat{path} HTTP/1.1\r\nhost: any\r\nconnection: close\r\n".encode()
        + (b"authorization: " + bearer + b"\r\n")
        + (b"x-midstage-ref: " + ref + b"\r\ntraceparent: " + ref + b"\r\n\r\n")
    ).makefile("rb").read()

    (event,) = within(60, lambda: [event for event in edge.events() if event.data.endpoint == path])
    assert (event.data.customer, event.data.usage) == ("acme", {"requests": 1})
    assert 0 < len(event.data.ref) <= 256
