"""Who posted what, closed which period with what, or counted again: it is in the audit."""

from fastapi.testclient import TestClient

from midstage.contracts.audit import Queried
from midstage.eventlog.codec import Decoder, encode
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S, Bench, records, request, running

TOKEN = {"authorization": "Bearer secret"}
ONE = "application/cloudevents+json"


def audited(bench: Bench) -> set[tuple[str, str, str, str, int]]:
    read = Decoder(bench.topics.audit)
    facts = [read(record).data for record in records(bench.log, bench.topics.audit.name)]
    return {
        (one.actor, one.method, one.route, one.query, one.status)
        for one in facts
        if isinstance(one, Queried)
    }


def test_what_is_posted_is_told_with_its_size_and_not_with_what_is_in_it(bench: Bench) -> None:
    event = encode(request("jobs", None, event_id="a"))
    service = bench.start()
    client = TestClient(service.app)
    kind = {"content-type": ONE}
    acme = {"authorization": "Bearer acmes-key"}
    with running(service):
        post = client.post("/v1/events", content=event, headers={**TOKEN, **kind})
        assert post.status_code == 204
        bad = client.post("/v1/events?detail=false", content=b"{", headers={**acme, **kind})
        assert bad.status_code == 400
        client.post("/v1/events", content=event, headers=kind)  # by nobody that we know
        within(DEADLINE_S, lambda: len(audited(bench)) == 2)
    assert audited(bench) == {
        ("operator", "POST", "/v1/events", f"content-type={ONE}&bytes={len(event)}", 204),
        (
            *("customer/acme", "POST", "/v1/events"),
            *(f"detail=false&content-type={ONE}&bytes=1", 400),
        ),
    }


def test_whose_rows_were_asked_for_is_told(bench: Bench) -> None:
    service = bench.start()
    client = TestClient(service.app)
    acme = {"authorization": "Bearer acmes-key"}
    with running(service):
        client.get("/v1/requests?limit=7", headers=acme)
        client.get("/v1/requests?after=1,2,3", headers=TOKEN)
        client.get("/v1/requests")  # by nobody that we know
        within(DEADLINE_S, lambda: len(audited(bench)) == 2)
    assert audited(bench) == {
        ("customer/acme", "GET", "/v1/requests", "limit=7", 200),
        ("operator", "GET", "/v1/requests", "after=1,2,3", 422),
    }


def test_orders_of_billing_are_told_with_what_was_asked_and_what_became_of_them(
    bench: Bench,
) -> None:
    service = bench.start()
    client = TestClient(service.app)
    with running(service):
        order = {"zone": "Mars", "accept_gaps": True, "by": "ann", "why": "the disk is lost"}
        assert client.post("/v1/periods/2026-10/close", json=order, headers=TOKEN).is_client_error
        client.get("/v1/periods/2026-10/statement?form=csv", headers=TOKEN)
        client.post("/v1/recount/day?after=2026-01-01", headers=TOKEN)
        client.post("/v1/recount/whole", headers=TOKEN)
        within(DEADLINE_S, lambda: len(audited(bench)) == 4)
    told = {(route, query): (actor, status) for actor, _, route, query, status in audited(bench)}
    said = '{"zone":"Mars","accept_gaps":true,"by":"ann","why":"the disk is lost"}'
    assert told[("/v1/periods/2026-10/close", said)] == ("operator", 422)
    assert ("/v1/periods/2026-10/statement", "form=csv") in told
    assert told[("/v1/recount/day", "after=2026-01-01")] == ("operator", 200)
    assert told[("/v1/recount/whole", "")] == ("operator", 200)
