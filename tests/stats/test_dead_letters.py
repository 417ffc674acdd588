"""Dead letters as an operator looks at them, whatever somebody wrote into them."""

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import msgspec
import pytest
from fastapi.testclient import TestClient

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.requests import REQUEST_COMPLETED
from midstage.contracts.topics import EDGES, REQUESTS, Topic
from midstage.eventlog.codec import encode
from midstage.eventlog.dead_letters import CUT, REASON, SEQ, SOURCE, TIMESTAMP_MS, letter
from midstage.eventlog.log import Message, Partition, Record
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.murmur2 import partition_of
from midstage.eventlog.topics import settings_of
from midstage.stats.api.dead_letters import ONE, PATH
from midstage.stats.stream.dead_letters import AT_ONCE, Looking
from midstage.stats.views.dead_letters import DeadLetter, DeadLetters, asked
from midstage.stats.views.dead_letters import place as place_of
from midstage.testkit.waiting import within

from .asking import Asked, asking
from .conftest import DEADLINE_S, Bench, request, running
from .test_audit import audited

TOKEN = {"authorization": "Bearer secret"}
STRUCTURED = (("content-type", b"application/cloudevents+json"),)
DLQ = REQUESTS.dead_letters("stats")
TOPICS = (REQUESTS, EDGES)


def event(number: int, **changed: object) -> bytes:
    said = json.loads(encode(request("jobs", None, event_id=f"e-{number}")))
    return json.dumps({**said, **changed}).encode()


def bad(bench: Bench, value: bytes) -> Message:
    name = bench.topics.requests.name
    return Message(topic=name, key=b"jobs", value=value, headers=STRUCTURED)


def refused(
    value: bytes, *, topic: Topic = REQUESTS, key: bytes = b"jobs", reason: str = "wrong"
) -> Message:
    """As a reader puts it."""
    place = Partition(topic=topic.name, number=0)
    record = Record(partition=place, offset=7, key=key, value=value, headers=STRUCTURED)
    return letter(record, reader="stats", reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Dead letters in a log in memory, and who looks at them."""

    log: MemoryLog
    looking: Looking

    def put(self, *letters: Message) -> None:
        with closing(self.log.writer()) as writer:
            for one in letters:
                writer.send(one)
            assert writer.flush(DEADLINE_S) == 0

    def page(self, *, limit: int = 100, **query: str) -> DeadLetters:
        said: dict[str, str | None] = {"since": None, "before": None, **query}
        return self.looking.found(asked(limit=limit, **said))

    def ids(self, **query: str) -> list[str | None]:
        return [one.event_id for one in self.page(limit=100, **query).dead_letters]


def shelf_on(log: MemoryLog) -> Shelf:
    for topic in TOPICS:
        log.create(settings_of(topic))
    return Shelf(log=log, looking=Looking(log=log, topics=TOPICS))


@pytest.fixture
def shelf() -> Shelf:
    return shelf_on(MemoryLog())


def test_each_tells_who_refused_what_of_whom_when_and_why_and_is_given_whole(
    bench: Bench,
) -> None:
    value = event(1, data={"app": "chat", "customer": "acme"})
    client = asking(bench, bad(bench, value)).client
    name, dlq = bench.topics.requests.name, bench.topics.requests.dead_letters("stats")
    [found] = client.get(PATH, headers=TOKEN).json()["dead_letters"]
    assert "status" in found["reason"]
    assert found["at"] is not None
    assert found["written"] is not None
    assert found["excerpt"] == value.decode()
    assert {**found, "reason": "", "at": "", "written": "", "excerpt": ""} == {
        **{"id": f"{dlq}/0/0", "topic": name, "refuser": "stats", "source": "jobs"},
        **{"seq": None, "event_id": "e-1", "type": REQUEST_COMPLETED, "customer": "acme"},
        **{"app": "chat", "record": f"{name}/{partition_of(b'jobs', 3)}/0", "cut": False},
        **{"content_type": "application/cloudevents+json", "bytes": len(value)},
        **{"reason": "", "at": "", "written": "", "excerpt": ""},
    }
    whole = client.get(f"{PATH}/{dlq}/0/0", headers=TOKEN).json()
    assert whole["dead_letter"] == found
    assert base64.b64decode(whole["content"]) == value
    assert base64.b64decode(whole["key"]) == b"jobs"
    assert whole["headers"] == [["content-type", "application/cloudevents+json"]]
    assert client.get(f"{PATH}/{dlq}/0/1", headers=TOKEN).status_code == 404
    assert isinstance(bench.log, MemoryLog)
    bench.log.cut()
    away = client.get(PATH, headers=TOKEN)
    assert (away.status_code, away.headers["retry-after"]) == (503, "1")
    bench.log.mend()
    assert client.get(PATH, headers=TOKEN).status_code == 200


def test_the_newest_come_first_page_by_page_and_how_many_there_are_is_told(shelf: Shelf) -> None:
    shelf.put(*(refused(b"%d {" % number) for number in range(25)))
    whole = shelf.page().dead_letters
    assert [one.excerpt for one in whole] == [f"{24 - n} {{" for n in range(25)]
    found: list[DeadLetter] = []
    query = dict[str, str]()
    while True:
        page = shelf.page(limit=10, **query)
        found += page.dead_letters
        assert {(one.topic, one.refuser): one.dead_letters for one in page.held} == {
            (REQUESTS.name, "stats"): 25,
            (REQUESTS.name, "gateway"): 0,
            (REQUESTS.name, "data"): 0,
            (EDGES.name, "stats"): 0,
        }
        if page.next is None:
            break
        query = {"before": page.next}
    assert found == list(whole)


def test_filters_are_of_what_is_known(shelf: Shelf) -> None:
    shelf.put(
        refused(event(1, data={"customer": "acme"})),
        refused(event(2, data={"customer": "globex"}, source="other"), reason="No `App`"),
        refused(b"{", key=b"broken"),
        refused(b"no beat", topic=EDGES),
    )
    assert sorted(map(str, shelf.ids())) == ["None", "None", "e-1", "e-2"]
    assert shelf.ids(customer="acme") == ["e-1"]
    assert shelf.ids(source="other") == ["e-2"]
    assert [one.source for one in shelf.page(source="broken").dead_letters] == ["broken"]
    assert len(shelf.ids(topic=REQUESTS.name)) == 3
    assert shelf.ids(topic=EDGES.name, refuser="stats") == [None]
    assert shelf.ids(refuser="data") == []
    assert shelf.ids(reason="no `app", customer="globex") == ["e-2"]
    assert shelf.ids(reason="no `app", customer="acme") == []
    assert shelf.ids(since="2125-01-01T00:00:00Z") == []
    assert len(shelf.ids(since="2020-01-01T00:00:00Z")) == 4


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
    dlq = bench.topics.requests.dead_letters("stats")
    bench.write(Message(topic=dlq, key=b"jobs", value=b"{"))
    service = bench.start()
    client = TestClient(service.app)
    one = f"{PATH}/{dlq}/0/0"
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
        ("operator", "GET", ONE, f"id={dlq}/0/0", 200),
    }


@pytest.mark.parametrize(
    "place",
    [f"{DLQ}/0/1", f"{DLQ}/7/0", f"{DLQ}/0/{10**17}", f"{REQUESTS.name}/0/0", "nothing/0/0"],
)
def test_what_is_not_there_is_not_found(shelf: Shelf, place: str) -> None:
    shelf.put(refused(b"{"))
    with pytest.raises(RefusedError, match="there is no dead letter") as raised:
        shelf.looking.one(place_of(place))
    assert raised.value.status == 404


def test_whatever_stands_there_is_shown_and_harms_nothing(shelf: Shelf) -> None:
    """Anybody who may write to Kafka may write there too."""
    forged = (
        *((REASON, b"a lie"), (CUT, b"7"), (SOURCE, b"a lie")),
        *((REASON, b"\x1b[2Jtruth\x9b" + b"r" * 5000), (TIMESTAMP_MS, b"9" * 20)),
    )
    values = [
        *(b"", None, b"[" * 100_000, b'{"data":' * 50_000, b'{"id":' + b"9" * 1000 + b"}"),
        *(b'{"id":"\\ud800","source":["x"],"data":"\xff"}', b"\xff" * (4 * 1024 * 1024)),
        b'{"source":"' + b"s" * 300_000 + b'","id":1e999,"data":{"customer":7,"app":"chat"}}',
    ]
    shelf.put(
        *(Message(topic=DLQ, key=b"\xff" * 2000, value=each, headers=forged) for each in values),
        Message(topic=DLQ, key=None, value=b"nothing is told of it"),
        Message(
            topic=REQUESTS.dead_letters("gateway"),
            key=b"edges/edge-1/a",
            value=b"no line",
            headers=((REASON, b"not JSON"), (SOURCE, b"edges/edge-1/a"), (SEQ, b"7".zfill(20))),
        ),
    )
    found = shelf.page().dead_letters
    assert len(found) == len(values) + 2
    [line] = [one for one in found if one.refuser == "gateway"]
    assert (line.source, line.seq, line.record) == ("edges/edge-1/a", 7, None)
    lies = [one for one in found if one.reason.startswith("\x1b[2Jtruth")]
    assert len(lies) == len(values)
    assert all(len(one.reason) <= 1000 for one in lies)
    assert all(len(one.source or "") <= 256 for one in lies)
    assert all(one.written is None and not one.cut for one in lies)
    assert sum(one.app == "chat" for one in lies) == 1
    for one in found:
        whole = shelf.looking.one(place_of(one.id))
        assert msgspec.json.decode(msgspec.json.encode(whole))["dead_letter"]["id"] == one.id


def test_only_a_few_look_at_once() -> None:
    """Each holds what it reads in memory, and a thread that others wait for."""

    class Crowded(MemoryLog):
        crowded = True

        def partitions(self, topic: str) -> Sequence[Partition]:
            if self.crowded:
                looked.page()  # somebody else, while this one looks
            return super().partitions(topic)

    log = Crowded()
    looked = shelf_on(log)
    with pytest.raises(UnavailableError, match=f"^{AT_ONCE} others look at dead letters"):
        looked.page()
    log.crowded = False
    assert looked.page().dead_letters == ()


def test_what_is_mended_and_sent_twice_counts_once(bench: Bench) -> None:
    bench.write(bad(bench, event(1, time="soon")))
    service = bench.start()
    books = Asked(service, TestClient(service.app))
    kind = {"content-type": "application/cloudevents+json"}

    def letters() -> list[dict[str, str]]:
        found: list[dict[str, str]] = books.client.get(PATH, headers=TOKEN).json()["dead_letters"]
        return found

    with running(service):
        [found] = within(DEADLINE_S, letters)
        whole = books.client.get(f"{PATH}/{found['id']}", headers=TOKEN).json()
        mended = json.loads(base64.b64decode(whole["content"]))
        mended["time"] = "2026-01-01T12:00:00Z"
        for content in (mended, mended, {**mended, "id": "the last"}):
            post = books.client.post(
                "/v1/events", content=json.dumps(content), headers={**TOKEN, **kind}
            )
            assert post.status_code == 204
        counted = "?group_by=customer&measures=requests"
        within(DEADLINE_S, lambda: _requests(books.rows(counted)) == 2)
    assert len(letters()) == 1


def _requests(rows: Sequence[Mapping[str, object]]) -> object:
    return rows[0]["requests"] if rows else 0
