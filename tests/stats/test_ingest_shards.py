"""What a sender is told of events that another shard counts: asked there, or said to be unknown."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI, Response

from midstage.contracts import signature
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.codec import encode
from midstage.stats.adapters import shards
from midstage.stats.adapters.held import LEFT_ALONE_S, HeldAnywhere
from midstage.stats.adapters.shards import FarShard
from midstage.stats.views.held import HeldAnswer, HeldQuery
from midstage.stats.views.shards import Shard
from midstage.testkit.clock import FrozenClock
from midstage.testkit.waiting import within
from tests import patient
from tests.serving import listening, served, url_of

from .conftest import DEADLINE_S, KEY, Bench, records, request, running
from .posting import MANY, ONE, event

pytestmark = pytest.mark.slow
TOKEN = {"authorization": "Bearer secret"}
SOURCES = [f"jobs/{number}" for number in range(24)]  # each shard counts some of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two shards of one log, each at its url, and what ends the way to the second one."""

    benches: tuple[Bench, Bench]
    urls: tuple[str, str]
    end_second: Callable[[], None]

    def post(self, at: int, body: object, kind: str = MANY, **headers: str) -> httpx.Response:
        """Ask the shard ``at`` to take it and to tell each event."""
        answer: httpx.Response = patient.post(
            f"{self.urls[at]}/v1/events?detail=true",
            content=body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={**TOKEN, "content-type": kind, **headers},
        )
        assert answer.status_code == 200, answer.text
        return answer

    def rows(self) -> list[int]:
        """How many rows each has."""
        answer = patient.get(f"{self.urls[0]}/v1/status", headers=TOKEN).json()
        return [one["rows"] for one in answer["shards"]]

    def counted(self, rows: int) -> None:
        """Wait until they have so many rows together."""
        within(DEADLINE_S, lambda: sum(self.rows()) == rows)


@pytest.fixture
def pair(benches: Callable[[], Bench], monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(shards, "AT_ONCE_S", shards.TIMEOUT_S)  # a busy one is not away
    first, second = benches(), benches()
    second.log, second.topics = first.log, first.topics
    sockets = (listening(), listening())
    urls = (url_of(sockets[0]), url_of(sockets[1]))
    with ExitStack() as ends, ExitStack() as second_ends:
        for number, bench in enumerate((first, second)):
            bench.shard, bench.peers = Shard(number=number, of=2), urls
            service = bench.start()
            raised = ends.enter_context(running(service))
            ends.callback(_none, raised)
            (second_ends if number else ends).enter_context(served(service.app, sockets[number]))
        yield Pair(benches=(first, second), urls=urls, end_second=second_ends.close)
    first.stop()
    second.stop()


def _none(raised: list[BaseException]) -> None:
    assert raised == []


def states(answer: httpx.Response) -> list[str]:
    return [one["state"] for one in answer.json()["events"]]


def of_all(event_id: str) -> list[dict[str, object]]:
    return [event(event_id, source=source) for source in SOURCES]


def test_any_shard_tells_what_each_shard_has(pair: Pair) -> None:
    assert states(pair.post(0, of_all("a"))) == ["accepted"] * len(SOURCES)
    pair.counted(len(SOURCES))
    assert min(pair.rows()) > 0
    for at in (0, 1):
        body = [one for pairs in zip(of_all("a"), of_all(f"b{at}"), strict=True) for one in pairs]
        answer = pair.post(at, body)
        assert states(answer) == ["known", "accepted"] * len(SOURCES)
        told = answer.json()
        counts = (told["accepted"], told["known"], told["refused"], told["unsure"])
        assert counts == (len(SOURCES), len(SOURCES), 0, 0)
        assert not any("detail" in one for one in told["events"])
    pair.counted(3 * len(SOURCES))


def test_a_number_is_asked_for_where_its_source_is_counted(pair: Pair) -> None:
    sources = [pair.benches[0].edge(file=f"f{file:02d}").source for file in range(12)]
    bodies = [(source, encode(request(source, 1))) for source in sources]

    def told(at: int) -> set[str]:
        signed = [
            (body, signature.sign(key=KEY, source=source, value=body).decode())
            for source, body in bodies
        ]
        return {
            states(pair.post(at, body, ONE, **{signature.HEADER: mac}))[0] for body, mac in signed
        }

    assert told(0) == {"accepted"}
    pair.counted(len(sources))
    assert min(pair.rows()) > 0
    assert told(0) == told(1) == {"known"}


def test_what_a_shard_that_is_away_would_know_is_said_to_be_unknown(pair: Pair) -> None:
    pair.post(0, of_all("a"))
    pair.counted(len(SOURCES))
    own = pair.rows()[0]
    pair.end_second()
    answer = pair.post(0, [*of_all("a"), event("b", time="yesterday")])
    told = answer.json()
    away = len(SOURCES) - own
    counts = (told["accepted"], told["known"], told["refused"], told["unsure"])
    assert counts == (away, own, 1, away)
    unsure = [one for one in told["events"] if one["state"] == "accepted"]
    assert {one["detail"].partition(":")[0] for one in unsure} == {
        "whether it was in the ledger already is not known"
    }
    topic = pair.benches[0].topics.requests.name
    assert len(records(pair.benches[0].log, topic)) == 2 * len(SOURCES)  # sent all the same


def test_a_shard_that_hangs_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each body would wait for it, and take the place of one that need not."""
    monkeypatch.setattr(shards, "AT_ONCE_S", 0.1)
    clock = FrozenClock()
    with listening() as hanging:  # it is connected to, and says nothing
        hanging.setblocking(False)
        far = FarShard(url=url_of(hanging), token="secret")
        held = HeldAnywhere(shards=[far], partitions=3, monotonic=clock.monotonic)
        for asked in (1, 2):
            assert held([request("jobs/1", None)]) == [None]
            assert held([request("jobs/1", None), request("jobs/2", None)]) == [None, None]
            hanging.accept()[0].close()
            with pytest.raises(BlockingIOError):
                hanging.accept()
            clock.advance(LEFT_ALONE_S if asked == 1 else 0)


class Strange:
    """A shard of another version, which does not know this question."""

    def held(self, query: HeldQuery) -> HeldAnswer:
        raise RefusedError("nothing is at /v1/shard/held", status=404)


def test_a_shard_that_refuses_to_say_fails_nothing() -> None:
    held = HeldAnywhere(shards=[Strange()], partitions=3, monotonic=FrozenClock().monotonic)
    assert held([request("jobs/1", None)]) == [None]


def test_an_answer_to_another_question_is_none() -> None:
    stranger = FastAPI()

    @stranger.post("/v1/shard/held")
    def post() -> Response:
        return Response(b'{"numbered": [], "marks": [true]}')

    with served(stranger) as url:
        far = FarShard(url=url, token="secret")
        assert far.held(HeldQuery(marks=bytes(16))) == HeldAnswer(numbered=(), marks=(True,))
        with pytest.raises(UnavailableError, match="it left some out"):
            far.held(HeldQuery(marks=bytes(32)))


def test_shards_ask_each_other_in_whole_marks_and_with_the_token_alone(pair: Pair) -> None:
    asked = f"{pair.urls[0]}/v1/shard/held"
    assert patient.post(asked, json={"marks": ""}).status_code == 401
    acme = {"authorization": "Bearer acmes-key"}
    assert patient.post(asked, json={"marks": ""}, headers=acme).status_code == 401
    for body in (b'{"marks": "AAAA"}', b'{"marks": "?"}', b'{"numbered": [["a", "b"]]}', b"[]"):
        assert patient.post(asked, content=body, headers=TOKEN).status_code == 422
    far = FarShard(url=pair.urls[0], token="secret")
    nothing = HeldAnswer(numbered=(False,), marks=(False, False))
    query = HeldQuery(numbered=(("edges/edge-1/a", 7),), marks=bytes(32))
    assert far.held(query) == nothing
    assert nothing.fits(query)
    assert not nothing.fits(HeldQuery(marks=bytes(32)))
