"""Dead letters as an operator looks at them, whatever somebody wrote into them."""

import base64
import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from midstage.contracts.errors import UnavailableError
from midstage.contracts.requests import REQUEST_COMPLETED
from midstage.contracts.topics import DEAD_LETTER_BYTES
from midstage.eventlog.codec import encode
from midstage.eventlog.dead_letters import CUT, REASON, SEQ, SOURCE, TIMESTAMP_MS
from midstage.eventlog.log import Message, Partition
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.murmur2 import partition_of
from midstage.eventlog.topics import settings_of
from midstage.stats.api.dead_letters import PATH
from midstage.stats.stream.dead_letters import AT_ONCE, Looking
from midstage.stats.views.dead_letters import Asked as Asking
from midstage.testkit.waiting import within

from .asking import Asked, asking
from .conftest import DEADLINE_S, NOON, Bench, request, running
from .test_audit import audited

TOKEN = {"authorization": "Bearer secret"}
STRUCTURED = (("content-type", b"application/cloudevents+json"),)
Shown = list[dict[str, object]]


def bad(bench: Bench, value: bytes | None, *, source: str = "jobs") -> Message:
    return Message(
        topic=bench.topics.requests.name, key=source.encode(), value=value, headers=STRUCTURED
    )


def event(number: int, **changed: object) -> bytes:
    said = json.loads(encode(request("jobs", None, event_id=f"e-{number}")))
    return json.dumps({**said, **changed}).encode()


def shown(asked: Asked, query: str = "") -> Shown:
    answer = asked.client.get(f"{PATH}{query}", headers=TOKEN)
    assert answer.status_code == 200, answer.text
    found: Shown = answer.json()["dead_letters"]
    return found


def dlq(bench: Bench, refuser: str = "stats") -> str:
    return bench.topics.requests.dead_letters(refuser)


def test_each_tells_who_refused_what_of_whom_when_and_why(bench: Bench) -> None:
    asked = asking(bench, bad(bench, event(1, data={"app": "chat", "customer": "acme"})))
    [letter] = shown(asked)
    assert letter["id"] == f"{dlq(bench)}/0/0"
    assert letter["topic"] == bench.topics.requests.name
    assert letter["refuser"] == "stats"
    assert "status" in str(letter["reason"])
    assert (letter["source"], letter["event_id"]) == ("jobs", "e-1")
    assert (letter["customer"], letter["app"]) == ("acme", "chat")
    assert letter["type"] == REQUEST_COMPLETED
    assert letter["record"] == f"{bench.topics.requests.name}/{_partition(bench)}/0"
    assert letter["at"] is not None
    assert letter["written"] is not None
    assert str(letter["excerpt"]).startswith('{"specversion": "1.0"')
    assert letter["cut"] is False


def test_the_newest_come_first_page_by_page_and_how_many_there_are_is_told(bench: Bench) -> None:
    asked = asking(bench, *(bad(bench, b"%d {" % number) for number in range(25)))
    whole = shown(asked)
    assert [str(one["excerpt"]) for one in whole] == [f"{24 - n} {{" for n in range(25)]
    found, before = Shown(), ""
    while True:
        page = asked.client.get(f"{PATH}?limit=10{before}", headers=TOKEN).json()
        found += page["dead_letters"]
        held = {(one["topic"], one["refuser"]): one["dead_letters"] for one in page["held"]}
        assert held == {
            (bench.topics.requests.name, "stats"): 25,
            (bench.topics.requests.name, "gateway"): 0,
            (bench.topics.requests.name, "data"): 0,
            (bench.topics.edges.name, "stats"): 0,
        }
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert found == whole


def test_filters_are_of_what_is_known(bench: Bench) -> None:
    asked = asking(
        bench,
        bad(bench, event(1, data={"customer": "acme"})),
        bad(bench, event(2, data={"customer": "globex"}, source="other"), source="other"),
        bad(bench, b"{", source="broken"),
        Message(topic=bench.topics.edges.name, key=b"jobs", value=b"no beat"),
    )
    topic = bench.topics.requests.name

    def ids(query: str) -> list[object]:
        return [one["event_id"] for one in shown(asked, query)]

    assert sorted(map(str, ids(""))) == ["None", "None", "e-1", "e-2"]
    assert ids("?customer=acme") == ["e-1"]
    assert ids("?source=other") == ["e-2"]
    assert [one["source"] for one in shown(asked, "?source=broken")] == ["broken"]
    assert len(ids(f"?topic={topic}")) == 3
    assert len(ids(f"?topic={bench.topics.edges.name}&refuser=stats")) == 1
    assert ids("?refuser=data") == []
    assert ids("?reason=REQUIRED%20field&customer=globex") == ["e-2"]
    later = (NOON + timedelta(days=36_500)).isoformat().replace("+00:00", "Z")
    assert ids(f"?from={later}") == []
    assert len(ids("?from=2020-01-01T00:00:00Z")) == 4


def test_what_can_not_be_asked_is_refused_with_why(bench: Bench) -> None:
    client = TestClient(bench.start().app)
    for query, why in (
        ("?topic=midstage.nothing.v1", "topic: 'midstage.nothing.v1' has no dead letters"),
        ("?refuser=nobody", "refuser: 'nobody' has no dead letters; there are data, gateway"),
        ("?before=x", "'x' is not the place of a dead letter"),
        ("?before=nothing/0/1", "before: 'nothing' has no dead letters"),
        ("?from=yesterday", "is not a time like"),
        ("?from=2026-01-01T00:00:00", "has no time zone"),
        ("?from=0001-01-01T00:00:00%2B23:00", "is not a time like"),
        ("?limit=0", "limit"),
        ("?limit=100000", "limit"),
        ("?sources=jobs", "no such parameter"),
        ("?source=", "source"),
    ):
        answer = client.get(f"{PATH}{query}", headers=TOKEN)
        assert answer.status_code in {400, 422}, query
        assert why in answer.json()["detail"]


def test_only_operators_look_and_it_is_audited(bench: Bench) -> None:
    bench.write(bad(bench, b"{"))
    service = bench.caught_up()
    client = TestClient(service.app)
    one = f"{PATH}/{dlq(bench)}/0/0"
    for path in (PATH, one):
        assert client.get(path).status_code == 401
        key = {"authorization": "Bearer acmes-key"}
        assert client.get(path, headers=key).status_code == 401
    with running(service):
        assert client.get(f"{PATH}?customer=acme", headers=TOKEN).status_code == 200
        assert client.get(one, headers=TOKEN).status_code == 200
        within(DEADLINE_S, lambda: len(audited(bench)) == 2)
    assert audited(bench) == {
        ("operator", "GET", PATH, "customer=acme", 200),
        ("operator", "GET", f"{PATH}/{{topic}}/{{partition}}/{{offset}}",
         f"id={dlq(bench)}/0/0", 200),
    }  # fmt: skip


def test_one_is_given_whole(bench: Bench) -> None:
    value = b"\xff\x00 no JSON " * 1000
    asked = asking(bench, bad(bench, value))
    answer = asked.client.get(f"{PATH}/{dlq(bench)}/0/0", headers=TOKEN).json()
    assert base64.b64decode(answer["content"]) == value
    assert base64.b64decode(answer["key"]) == b"jobs"
    assert answer["headers"] == [["content-type", "application/cloudevents+json"]]
    assert answer["dead_letter"] == shown(asked)[0]


def test_what_is_not_there_is_not_found(bench: Bench) -> None:
    asked = asking(bench, bad(bench, b"{"))
    for place in (
        *(f"{dlq(bench)}/0/1", f"{dlq(bench)}/0/-1", f"{dlq(bench)}/7/0"),
        *(f"{dlq(bench)}/0/99999999999999999999", f"{bench.topics.requests.name}/0/0"),
    ):
        answer = asked.client.get(f"{PATH}/{place}", headers=TOKEN)
        assert answer.status_code == 404, place
        assert "there is no dead letter" in answer.json()["detail"]


def test_whatever_stands_there_is_shown_and_harms_nothing(bench: Bench) -> None:
    """Anybody who may write to Kafka may write there too."""
    forged = (
        *((REASON, b"a lie"), (CUT, b"7"), (SOURCE, b"a lie")),
        *((REASON, b"\x1b[2Jtruth\x9b" + b"r" * 5000), (TIMESTAMP_MS, b"9" * 20)),
    )
    values = [
        *(b"", None, b"[" * 100_000, b'{"data":' * 50_000, b'{"id":' + b"9" * 1000 + b"}"),
        *(b'{"id":"\\ud800","source":["x"],"data":"\xff"}', b"\xff" * (DEAD_LETTER_BYTES - 99)),
        b'{"source":"' + b"s" * 300_000 + b'","id":1e999,"data":{"customer":7,"app":"chat"}}',
    ]
    hostile = [
        Message(topic=dlq(bench), key=b"\xff" * 2000, value=value, headers=forged)
        for value in values
    ]
    bare = Message(topic=dlq(bench), key=None, value=b"nothing is told of it")
    gateways = Message(
        topic=dlq(bench, "gateway"),
        key=b"edges/edge-1/a",
        value=b"no line",
        headers=((REASON, b"not JSON"), (SOURCE, b"edges/edge-1/a"), (SEQ, b"7".zfill(20))),
    )
    asked = asking(bench, *hostile, bare, gateways)
    found = shown(asked)
    assert len(found) == len(values) + 2
    [line] = [one for one in found if one["refuser"] == "gateway"]
    assert (line["source"], line["seq"], line["record"]) == ("edges/edge-1/a", 7, None)
    lies = [one for one in found if str(one["reason"]).startswith("\x1b[2Jtruth")]
    assert len(lies) == len(values)
    assert all(len(str(one["reason"])) <= 1000 for one in lies)
    assert all(len(str(one["source"])) <= 256 for one in lies)
    assert all(one["written"] is None for one in lies)
    assert not any(one["cut"] for one in lies)
    assert sum(one["app"] == "chat" for one in lies) == 1
    for one in found:
        path = f"{PATH}/{one['id']}"
        assert asked.client.get(path, headers=TOKEN).status_code == 200


def test_without_a_broker_it_says_so_and_goes_on_afterwards(bench: Bench) -> None:
    asked = asking(bench, bad(bench, b"{"))
    assert isinstance(bench.log, MemoryLog)
    bench.log.cut()
    answer = asked.client.get(PATH, headers=TOKEN)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    bench.log.mend()
    assert len(shown(asked)) == 1


def test_only_a_few_look_at_once(bench: Bench) -> None:
    """Each holds what it reads in memory, and a thread that others wait for."""

    class Crowded(MemoryLog):
        crowded = True

        def partitions(self, topic: str) -> Sequence[Partition]:
            if self.crowded:
                looking.found(Asking())  # somebody else, while this one looks
            return super().partitions(topic)

    log = Crowded()
    for topic in bench.topics.refused:
        log.create(settings_of(topic))
    looking = Looking(log=log, topics=bench.topics.refused)
    with pytest.raises(UnavailableError, match=f"^{AT_ONCE} others look at dead letters"):
        looking.found(Asking())
    log.crowded = False
    assert looking.found(Asking()).dead_letters == ()


def test_what_is_mended_and_sent_twice_counts_once(bench: Bench) -> None:
    bench.write(bad(bench, event(1, time="soon")))
    service = bench.start()
    asked = Asked(service, TestClient(service.app))
    kind = {"content-type": "application/cloudevents+json"}
    with running(service):
        [letter] = within(DEADLINE_S, lambda: shown(asked))
        whole = asked.client.get(f"{PATH}/{letter['id']}", headers=TOKEN).json()
        mended = json.loads(base64.b64decode(whole["content"]))
        mended["time"] = "2026-01-01T12:00:00Z"
        for content in (mended, mended, {**mended, "id": "the last"}):
            post = asked.client.post(
                "/v1/events", content=json.dumps(content), headers={**TOKEN, **kind}
            )
            assert post.status_code == 204
        asking_for = "?group_by=customer&measures=requests"
        within(
            DEADLINE_S,
            lambda: asked.rows(asking_for) == [{"customer": "acme", "requests": 2}],
        )
    assert len(shown(asked)) == 1


def _partition(bench: Bench) -> int:
    return partition_of(b"jobs", 3)
