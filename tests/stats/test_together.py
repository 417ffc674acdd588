"""Whatever stats is asked, any shard answers for all of them, or names the one that is away."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import msgspec
import pytest
from fastapi import FastAPI, Response

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.requests import Outcome
from midstage.stats.adapters import shards
from midstage.stats.adapters.shards import FarShard
from midstage.stats.decide.periods import Accepted, meant
from midstage.stats.views.rows import RowsAnswer, RowsQuery
from midstage.stats.views.shards import Shard
from tests import patient
from tests.serving import listening, served, url_of

from .conftest import NOON, Bench

pytestmark = pytest.mark.slow
FILES = 12
TOKEN = {"authorization": "Bearer secret"}
ACME = {"authorization": "Bearer acmes-key"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two shards of one log, each at its url, and what ends the second one."""

    benches: tuple[Bench, Bench]
    urls: tuple[str, str]
    end_second: Callable[[], None]

    def page(self, query: str, known: Mapping[str, str] = TOKEN) -> RowsAnswer:
        """A page of rows, as both of them have it for who is ``known``."""
        first, second = (
            patient.get(f"{url}/v1/requests?{query}", headers=known) for url in self.urls
        )
        assert first.content == second.content
        return msgspec.json.decode(first.content, type=RowsAnswer)

    def both(self, path: str) -> Mapping[str, list[dict[str, object]]]:
        """What both of them say, which is the same."""
        first, second = (patient.get(url + path, headers=TOKEN) for url in self.urls)
        assert (first.status_code, first.text) == (200, second.text)
        answer: Mapping[str, list[dict[str, object]]] = first.json()
        return answer


@pytest.fixture
def pair(benches: Callable[[], Bench], monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Of twelve files of one edge, each with two requests and a failed one, each has some."""
    monkeypatch.setattr(shards, "AT_ONCE_S", shards.TIMEOUT_S)  # a busy one is not away
    first, second = benches(), benches()
    second.log, second.topics = first.log, first.topics
    for file in range(FILES):
        edge = first.edge(file=f"f{file:02d}")
        first.write(
            edge.line(1, ref=f"run-{file:02d}-1"),
            edge.line(2, ref=f"run-{file:02d}-2"),
            edge.line(
                *(3,), ref=f"off-{file:02d}", customer="globex", outcome=Outcome.ERROR, status=503
            ),
            edge.beat(3, at=NOON + timedelta(seconds=file)),
        )
    sockets = (listening(), listening())
    urls = (url_of(sockets[0]), url_of(sockets[1]))
    with ExitStack() as ends, ExitStack() as second_ends:
        for number, bench in enumerate((first, second)):
            bench.shard, bench.peers = Shard(number=number, of=2), urls
            app = bench.caught_up().app
            (second_ends if number else ends).enter_context(served(app, sockets[number]))
        yield Pair(benches=(first, second), urls=urls, end_second=second_ends.close)
    first.stop()
    second.stop()


def test_sources_of_all_shards_are_there_by_name(pair: Pair) -> None:
    own = [len(bench.started[0].ledger.queries().sources()) for bench in pair.benches]
    assert min(own) > 0
    named = [source["source"] for source in pair.both("/v1/sources")["sources"]]
    assert named == [pair.benches[0].edge(file=f"f{file:02d}").source for file in range(FILES)]


@pytest.mark.parametrize(("query", "known"), [("ref_prefix=run-", TOKEN), ("", ACME)])
def test_rows_of_all_shards_come_page_by_page_each_once(
    pair: Pair, query: str, known: Mapping[str, str]
) -> None:
    """All that begin so, and with a customer's key all of its own: the same ones here."""
    found: list[str] = []
    pages = 0
    after: str | None = ""
    while after is not None:
        page = pair.page(f"{query}&limit=7&after={after}", known)
        found += [row.ref for row in page.requests]
        pages, after = pages + 1, page.next
    assert sorted(found) == [f"run-{n:02d}-{k}" for n in range(FILES) for k in (1, 2)]
    assert pages == 4
    assert {row.customer for row in pair.page("").requests} == {"acme", "globex"}
    assert {row.shard for row in pair.page("").requests} == {0, 1}
    too_many = patient.get(f"{pair.urls[0]}/v1/requests?after=1,2,3", headers=TOKEN)
    assert too_many.status_code == 422
    assert "3 shards; there are 2" in too_many.json()["detail"]


def test_availability_and_status_add_up(pair: Pair) -> None:
    (chat,) = pair.both("/v1/availability")["availability"]
    assert (chat["good"], chat["valid"]) == (2 * FILES, 3 * FILES)
    status: Mapping[str, object] = pair.both("/v1/status")
    assert (status["rows"], status["lag_records"], status["recent_rows"]) == (36, 0, 36)
    rows = [bench.started[0].ledger.queries().recorded(since=NOON).rows for bench in pair.benches]
    assert status["shards"] == [
        {"shard": number, "lag_records": 0, "rows": rows[number], "problem": None}
        for number in (0, 1)
    ]


def test_a_recount_is_of_the_rows_of_all(pair: Pair) -> None:
    for url in pair.urls:
        day = patient.post(f"{url}/v1/recount/day", headers=TOKEN).json()
        assert (day["rows"], day["differences"], day["next"]) == (36, 0, None)
        assert day["day"] == f"{NOON:%Y-%m-%d}"
        whole = patient.post(f"{url}/v1/recount/whole", headers=TOKEN).json()
        assert (whole["rows"], whole["differences"]) == (36, 0)


def test_a_shard_that_is_away_is_named_and_never_left_out(pair: Pair) -> None:
    pair.end_second()
    url, gone = pair.urls
    for path in ("/v1/sources", "/v1/requests", "/v1/availability", "/v1/load"):
        answer = patient.get(url + path, headers=TOKEN)
        assert answer.status_code == 503, path
        assert f"the shard at {gone} does not answer" in answer.json()["detail"]
    status = patient.get(f"{url}/v1/status", headers=TOKEN)
    assert status.status_code == 200
    said = status.json()
    assert (said["rows"], said["lag_records"], said["freshness_ms_p99"]) == (None, None, None)
    first, second = said["shards"]
    assert first["rows"] > 0
    assert first["problem"] is None
    assert (second["rows"], gone in second["problem"]) == (None, True)


def test_shards_that_are_asked_much_at_once_do_not_wait_for_each_other(pair: Pair) -> None:
    """More callers at each than a process has threads for them: parts have threads of their own."""
    asked = [f"{url}/v1/sources" for url in pair.urls for _ in range(60)]
    with ThreadPoolExecutor(len(asked)) as callers:
        answers = list(callers.map(partial(patient.get, headers=TOKEN), asked))
    assert {answer.status_code for answer in answers} == {200}


def test_an_older_shard_that_gives_rows_of_all_customers_is_not_believed(pair: Pair) -> None:
    older = FastAPI()
    rows = FarShard(url=pair.urls[1], token="secret").rows(RowsQuery())

    @older.post("/v1/shard/rows")
    def post() -> Response:
        return Response(msgspec.json.encode(rows))

    with served(older) as url:
        far = FarShard(url=url, token="secret")
        assert far.rows(RowsQuery()) == rows
        with pytest.raises(UnavailableError, match="older shard"):
            far.rows(RowsQuery(customer="acme"))


def test_parts_are_for_other_shards_alone(pair: Pair) -> None:
    url = pair.urls[0]
    for part in ("sources", "rows", "tallies", "loads", "standing", "recount/day"):
        path = f"{url}/v1/shard/{part}"
        assert patient.post(path, content=b"null").status_code == 401, part
        refused = patient.post(path, content=b"{", headers=TOKEN)
        assert (refused.status_code, "not what a shard asks" in refused.text) == (422, True), part
    with pytest.raises(RefusedError, match="Authorization"):
        FarShard(url=url, token="wrong").sources()


def test_the_period_of_another_shard_is_as_it_was_kept_or_made_again_from_its_rows(
    pair: Pair,
) -> None:
    far = FarShard(url=pair.urls[1], token="secret")
    assert (far.part("2026-01"), far.remade("2026-01")) == (None, None)
    january = meant(name="2026-01", since=None, until=None, zone="UTC")
    part = far.seal(january, Accepted(gaps=True, by="ann", why="it is not over"))
    assert part.seal.shard == 1
    assert part.gaps == far.gaps(january) != ()
    assert part.lines
    assert far.part("2026-01") == far.remade("2026-01") == part
    with pair.benches[1].started[-1].ledger.writing() as writing:
        writing.db.execute("UPDATE requests SET customer = 'bolt'")
    assert far.part("2026-01") == part
    made = far.remade("2026-01")
    assert made is not None
    assert {line.customer for line in made.lines} == {"bolt"}


def test_what_a_shard_can_not_do_now_is_to_be_asked_again_and_what_it_refuses_is_not() -> None:
    shard = FastAPI()

    @shard.post("/v1/shard/{part}")
    def post(part: str) -> Response:
        said = {"sources": (503, b'{"detail": "no room"}'), "rows": (409, b'{"detail": "never"}')}
        status, content = said.get(part, (500, b"no problem"))
        return Response(content, status_code=status)

    with served(shard) as url:
        far = FarShard(url=url, token="secret")
        with pytest.raises(UnavailableError, match="can't do that now: no room"):
            far.sources()
        with pytest.raises(UnavailableError, match="it answered 500"):
            far.loads()
        with pytest.raises(RefusedError, match="never") as refused:
            far.rows(RowsQuery())
        assert refused.value.status == 409


def test_what_is_no_shard_is_said() -> None:
    stranger = FastAPI()

    @stranger.post("/v1/shard/{part}")
    def post(part: str) -> Response:
        return Response(b'{"hello": 1}' if part == "sources" else b"[]", status_code=200)

    with served(stranger) as url:
        far = FarShard(url=url, token="secret")
        with pytest.raises(UnavailableError, match="is no shard of this midstage"):
            far.sources()
        with pytest.raises(UnavailableError, match="is no shard of this midstage"):
            far.standing()
