"""What analysts and customers are answered about usage, over the composed application."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # nor has this
import pytest
from fastapi.testclient import TestClient

from midstage.contracts.audit import Queried
from midstage.contracts.requests import Outcome
from midstage.eventlog.codec import Decoder
from midstage.eventlog.log import Message
from midstage.stats.adapters.usage import reading, statements
from midstage.stats.main import Service
from midstage.stats.views.usage import asking as asking_module
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S, NOON, Bench, records, running

TOKEN = "secret"
MINUTE = timedelta(minutes=1)
Row = dict[str, object]


@dataclass
class Asked:
    """A stats that has read its log, and one who asks with this token or key."""

    service: Service
    client: TestClient
    token: str = TOKEN

    def __call__(self, query: str = "", *, accept: str = "application/json") -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}", "accept": accept}
        answer: httpx.Response = self.client.get(f"/v1/usage{query}", headers=headers)
        return answer

    def rows(self, query: str = "") -> list[Row]:
        answer = self(query)
        assert answer.status_code == 200, answer.text
        found: list[Row] = answer.json()["usage"]
        return found

    def post(self, body: Mapping[str, object]) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        answer: httpx.Response = self.client.post("/v1/usage", json=dict(body), headers=headers)
        return answer

    def by(self, token: str) -> "Asked":
        return Asked(self.service, self.client, token)


def asking(bench: Bench, *lines: Message) -> Asked:
    bench.write(*lines)
    service = bench.caught_up()
    return Asked(service, TestClient(service.app))


@pytest.fixture
def asked(bench: Bench) -> Asked:
    edge = bench.edge()
    return asking(
        bench,
        edge.line(1, labels={"team": "a"}, duration_ms=100.0, bytes_in=7),
        edge.line(2, customer="globex", time=NOON + MINUTE, labels={"team": "b"}),
        edge.line(3, app="ocr", usage={"images": 0.5, "cached": 0}, time=NOON + MINUTE),
        edge.line(4, outcome=Outcome.REFUSED, status=429, usage={}, estimated=True),
        edge.line(6, customer="unknown", outcome=Outcome.INVALID, status=400),
        edge.beat(7, at=NOON),
    )


def test_usage_of_all_is_one_sum(asked: Asked) -> None:
    assert asked.rows() == [
        {
            "requests": 5,
            "outcomes": {"ok": 3, "refused": 1, "invalid": 1},
            "units": {"cached": 0, "images": 0.5, "input_tokens": 6, "requests": 2},
            "micros": {
                **{"cached": 0, "images": 500_000, "input_tokens": 6_000_000},
                "requests": 2_000_000,
            },
        }
    ]


def test_the_answer_says_what_it_rests_on(asked: Asked, bench: Bench) -> None:
    said = asked().json()
    topics = (bench.topics.requests.name, bench.topics.edges.name)
    held = asked.service.ledger.positions()
    assert said["positions"] == {
        f"{one.topic}/{one.number}": at for one, at in held.items() if one.topic in topics
    }
    assert said["versions"]["0"] >= 1
    assert said["next"] is said["complete_until"] is None  # line 5 is missing


def test_usage_by_any_dimension(asked: Asked) -> None:
    by = {
        name: [(row[name], row["requests"]) for row in asked.rows(f"?group_by={name}")]
        for name in ("customer", "app", "outcome", "status", "estimated", "kind", "label.team")
    }
    assert by == {
        "customer": [("acme", 3), ("globex", 1), ("unknown", 1)],
        "app": [("chat", 4), ("ocr", 1)],
        "outcome": [("invalid", 1), ("ok", 3), ("refused", 1)],
        "status": [(200, 3), (400, 1), (429, 1)],
        "estimated": [(False, 4), (True, 1)],
        "kind": [("request", 5)],
        "label.team": [(None, 3), ("a", 1), ("b", 1)],
    }


def test_each_dimension_tells_its_own_word(bench: Bench) -> None:
    """Each of them differs from every other, so that none can be taken for another."""
    edge = bench.edge()
    said = {"endpoint": "e", "revision": "r", "cluster": "c", "pod": "p"}
    ask = asking(
        bench,
        edge.line(1, **{name: f"{word}-1" for name, word in said.items()}, bytes_in=3, bytes_out=5),
        edge.line(2, **{name: f"{word}-2" for name, word in said.items()}, ttft_ms=40.0),
    )
    for name, word in said.items():
        rows = ask.rows(f"?group_by={name}&measures=bytes_in,bytes_out")
        assert rows == [
            {name: f"{word}-1", "bytes_in": 3, "bytes_out": 5},
            {name: f"{word}-2", "bytes_in": 0, "bytes_out": 0},
        ]
        (row,) = ask.rows(f"?{name}={word}-2&measures=ttft_ms.p50,latency_ms.p50")
        assert row["ttft_ms"] == {"p50": pytest.approx(40, rel=0.01)}


def test_usage_is_narrowed_by_any_dimension_and_time(asked: Asked) -> None:
    def requests(query: str) -> int:
        return sum(int(str(row["requests"])) for row in asked.rows(query))

    assert requests("?label.team=a&label.team=b") == 2
    assert requests("?label.team=a&customer=globex") == 0
    assert requests("?status=400&status=429") == 2
    assert requests("?estimated=true") == 1
    assert requests("?customer=acme&from=2026-01-01T12:01:00Z") == 1
    assert requests("?to=2026-01-01T13:01:00%2B01:00&app=chat") == 3
    assert requests("?from=2026-01-01T12:00:00.5Z") == 2


def test_measures_are_what_was_asked_for(asked: Asked) -> None:
    (row,) = asked.rows(
        "?measures=customers,bytes_in,units.images,outcomes.error,latency_ms.p50,ttft_ms.p99"
    )
    assert row.pop("latency_ms") == {"p50": pytest.approx(120, rel=0.01)}
    assert row == {
        "customers": 3,
        "bytes_in": 7,
        "units": {"images": 0.5},
        "micros": {"images": 500_000},
        "outcomes": {"error": 0},
        "ttft_ms": {"p99": None},
    }


def test_post_answers_as_get(asked: Asked) -> None:
    body = {"group_by": ["app"], "where": {"customer": ["acme"]}, "order": ["-requests"]}
    assert asked.post(body).json() == asked("?group_by=app&customer=acme&order=-requests").json()
    refused = asked.post({"group_by": ["app", "colour"]})
    assert (refused.status_code, refused.json()["detail"].split(":")[0]) == (400, "/group_by/1")


def test_a_parameter_that_there_is_not_is_no_filter(asked: Asked) -> None:
    refused = asked("?custmer=acme")
    assert refused.status_code == 400
    said = refused.json()["detail"]
    assert said.startswith("custmer: no such parameter; there are after, app, cluster, customer, ")
    assert said.endswith(", window, zone, label.<name>")
    assert asked("?zone=UTC&zone=UTC").json()["detail"] == "zone: given 2 times; give it once"
    headers = {"authorization": f"Bearer {TOKEN}"}
    posted = asked.client.post("/v1/usage?customer=acme", json={}, headers=headers)
    assert posted.json()["detail"] == "customer: no such parameter; there are none here"


def test_each_parameter_that_there_is_can_be_said(asked: Asked) -> None:
    paths = asked.client.get("/openapi.json").json()["paths"]
    names = [one["name"] for one in paths["/v1/usage"]["get"]["parameters"]]
    words = {
        **{"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "window": "none"},
        **{"zone": "UTC", "group_by": "app", "measures": "units", "order": "app", "limit": "1"},
        **{"estimated": "true", "status": "200"},
    }
    query = "&".join(f"{name}={words.get(name, 'x')}" for name in names if name != "after")
    assert asked(f"?{query}".replace("<name>", "team")).status_code == 200
    assert asked("?after=x").json()["detail"].startswith("after: it is not what an answer gave")


def test_pages_are_of_one_moment_although_data_comes_in(bench: Bench) -> None:
    edge = bench.edge()
    ask = asking(bench, *(edge.line(n, customer=f"c{n}") for n in range(1, 8)))
    whole = ask.rows("?group_by=customer")
    page = ask("?group_by=customer&limit=3").json()
    seen: list[Row] = list(page["usage"])
    pages = [page]
    late = [edge.line(n, customer=f"b{n}") for n in range(8, 20)]
    again = asking(bench, *late, edge.line(20, customer="c7"))  # the ledger is opened anew, too
    while page["next"]:
        page = again(f"?group_by=customer&limit=3&after={page['next']}").json()
        seen += page["usage"]
        pages.append(page)
    assert seen == whole
    assert [len(page["usage"]) for page in pages] == [3, 3, 1]
    assert {json.dumps([page["versions"], page["positions"]]) for page in pages} == {
        json.dumps([pages[0]["versions"], pages[0]["positions"]])
    }
    assert len(again.rows("?group_by=customer")) == 7 + 12


def test_a_page_of_another_question_is_refused(asked: Asked) -> None:
    following = asked("?group_by=customer&limit=1").json()["next"]
    assert asked(f"?group_by=app&limit=1&after={following}").status_code == 400
    assert asked(f"?group_by=customer&limit=1&after={following[:-4]}").status_code == 400
    assert asked(f"?group_by=customer&limit=2&after={following}").status_code == 200


COLUMNS = [
    *("customer", "requests"),
    *(f"outcomes.{outcome}" for outcome in Outcome),
    *("units.cached", "units.images", "units.input_tokens", "units.requests"),
]


def test_csv_has_every_column_and_row(asked: Asked) -> None:
    answer = asked("?group_by=customer", accept="text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    titles, *rows = csv.reader(io.StringIO(answer.text))
    assert titles == COLUMNS
    assert rows == [
        ["acme", "3", "2", "0", "0", "1", "0", "0", "0.5", "3", "1"],
        ["globex", "1", "1", "0", "0", "0", "0", "", "", "3", "1"],
        ["unknown", "1", "0", "1", "0", "0", "0", "", "", "", ""],
    ]
    said = asked().json()
    assert json.loads(answer.headers["midstage-versions"]) == said["versions"]
    assert json.loads(answer.headers["midstage-positions"]) == said["positions"] != {}
    assert "midstage-complete-until" not in answer.headers  # line 5 is missing


def test_a_file_says_up_to_when_it_is_complete(bench: Bench) -> None:
    edge = bench.edge()
    at = datetime.now(UTC)
    ask = asking(bench, edge.line(1), edge.beat(1, at=at))
    assert datetime.fromisoformat(ask().json()["complete_until"]) == at
    said = ask(accept="text/csv").headers["midstage-complete-until"]
    assert datetime.fromisoformat(said) == at


def test_arrow_and_parquet_say_the_same_as_json(asked: Asked) -> None:
    query = "?group_by=customer&window=day&zone=Europe/Berlin&from=2026-01-01T00:00:00Z"
    rows = asked.rows(query)
    stream = asked(query, accept="application/vnd.apache.arrow.stream").content
    file = asked(query, accept="application/vnd.apache.parquet").content
    arrow, parquet = pa.ipc.open_stream(stream).read_all(), pq.read_table(io.BytesIO(file))
    assert arrow.equals(parquet)
    assert arrow.column_names == ["window", "window_end", *COLUMNS]
    assert arrow.schema.field("window").type == pa.timestamp("us", tz="Europe/Berlin")
    assert json.loads(parquet.schema.metadata[b"midstage"])["versions"]
    for row, said in zip(rows, arrow.to_pylist(), strict=True):
        assert said["window"] == datetime.fromisoformat(str(row["window"]))
        assert said["requests"] == row["requests"]
        micros = row["micros"]
        assert isinstance(micros, dict)
        for unit in ("cached", "images", "input_tokens", "requests"):
            exact = None if unit not in micros else Decimal(micros[unit]) / 10**6
            assert said[f"units.{unit}"] == exact
    assert pl.read_parquet(io.BytesIO(file)).height == 3


def test_an_export_does_not_depend_on_a_page(asked: Asked) -> None:
    refused = asked("?group_by=customer&limit=1", accept="text/csv")
    assert refused.status_code == 400
    assert "a file holds every group" in refused.json()["detail"]
    empty = asked("?customer=nobody", accept="text/csv")
    assert empty.text == ",".join(COLUMNS[1:7]) + "\r\n"


def test_an_export_has_more_than_a_page_of_rows(bench: Bench) -> None:
    many = asking_module.DEFAULT_ROWS + 5
    edge = bench.edge()
    ask = asking(bench, *(edge.line(n, customer=f"c{n:05}") for n in range(1, many + 1)))
    assert len(ask.rows("?group_by=customer")) == asking_module.DEFAULT_ROWS
    _, *rows = csv.reader(io.StringIO(ask("?group_by=customer", accept="text/csv").text))
    assert [row[0] for row in rows] == [f"c{n:05}" for n in range(1, many + 1)]
    stream = ask("?group_by=customer", accept="application/vnd.apache.arrow.stream").content
    assert pa.ipc.open_stream(stream).read_all().num_rows == many
    file = ask("?group_by=customer", accept="application/vnd.apache.parquet").content
    assert pq.read_table(io.BytesIO(file)).num_rows == many


@pytest.mark.parametrize("measures", ["requests", "customers", "latency_ms.p50"])
def test_an_answer_of_too_many_sums_is_refused_and_never_cut(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, measures: str
) -> None:
    edge = bench.edge()
    ask = asking(bench, *(edge.line(n, customer=f"c{n}") for n in range(1, 6)))
    for module in (reading, statements):
        monkeypatch.setattr(module, "MOST_CELLS", 4)
    refused = ask(f"?group_by=customer&measures={measures}", accept="text/csv")
    assert refused.status_code == 400
    assert "group by less" in refused.json()["detail"]
    assert len(ask.rows(f"?customer=c1&group_by=customer&measures={measures}")) == 1


def test_a_form_that_there_is_not_is_refused(asked: Asked) -> None:
    refused = asked(accept="text/html")
    assert refused.status_code == 406
    assert refused.headers["content-type"] == "application/problem+json"


def test_a_unit_beyond_64_bits_is_exact_in_every_form(bench: Bench) -> None:
    edge = bench.edge()
    ask = asking(bench, *(edge.line(n, usage={"images": 10**12}) for n in range(1, 21)))
    assert ask.rows()[0]["micros"] == {"images": 20 * 10**18}
    assert "20000000000000" in ask(accept="text/csv").text
    stream = ask(accept="application/vnd.apache.arrow.stream").content
    (row,) = pa.ipc.open_stream(stream).read_all().to_pylist()
    assert row["units.images"] == Decimal(20 * 10**12)


def test_a_customers_key_sees_its_own_usage_alone(asked: Asked) -> None:
    acme = asked.by("acmes-key")
    assert [row["customer"] for row in acme.rows("?group_by=customer")] == ["acme"]
    assert acme.rows()[0]["requests"] == 3
    assert acme.rows("?measures=customers")[0]["customers"] == 1
    assert acme.rows("?customer=acme") == acme.rows()
    for query in ("?customer=globex", "?customer=acme&customer=globex"):
        refused = acme(query)
        assert refused.status_code == 403
        assert "globex" not in refused.text
    assert acme.post({"where": {"customer": ["globex"]}}).status_code == 403
    assert acme.post({"group_by": ["customer"]}).json()["usage"][0]["customer"] == "acme"
    said = acme().json()
    assert said["positions"] == {}  # they would say how much all others use
    assert "globex" not in acme("?group_by=customer,app,label.team", accept="text/csv").text


def test_a_customers_page_is_nobody_elses(asked: Asked) -> None:
    following = asked.by("acmes-key")("?group_by=app&limit=1").json()["next"]
    assert following
    assert asked.by("globex-key")(f"?group_by=app&limit=1&after={following}").status_code == 400


@pytest.mark.parametrize("token", ["", "wrong", "acme", "acmes-key "])
def test_whom_we_do_not_know_is_told_nothing(asked: Asked, token: str) -> None:
    known = token.strip() == "acmes-key"  # blanks around a token are not part of it
    for answer in (asked.by(token)(), asked.by(token).post({})):
        assert answer.status_code == (200 if known else 401)
    assert asked.client.get("/v1/usage").status_code == 401


def test_a_withdrawn_key_ends_at_once(asked: Asked, bench: Bench) -> None:
    file = bench.directory / "api-keys.json"
    file.write_text(json.dumps({"globex-key": "globex"}))
    assert asked.by("acmes-key")().status_code == 401
    file.chmod(0o644)
    file.write_text("{}")
    assert asked.by("globex-key")().status_code == 503
    assert asked().status_code == 200


def test_each_question_goes_to_the_audit(bench: Bench) -> None:
    bench.write(bench.edge().line(1))
    ask = Asked(service := bench.start(), TestClient(service.app))
    with running(service):
        ask("?group_by=app")
        ask.by("acmes-key")("?customer=globex")
        ask.by("nobodys")("?group_by=app")
        ask.post({"zone": "Mars"})
        within(DEADLINE_S, lambda: len(audited(bench)) == 3)
    assert {(one.actor, one.method, one.query, one.status) for one in audited(bench)} == {
        ("operator", "GET", "group_by=app", 200),
        ("customer/acme", "GET", "customer=globex", 403),
        ("operator", "POST", '{"zone":"Mars"}', 400),
    }


def test_parts_are_for_other_shards_alone(asked: Asked) -> None:
    def part(token: str, body: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"}
        answer: httpx.Response = asked.client.post("/v1/usage/part", json=body, headers=headers)
        return answer

    question = {"question": {"wanted": {"columns": ["requests"]}, "group_by": ["app"]}}
    answer = part(TOKEN, question).json()
    assert {group["key"][0] for group in answer["groups"]} == {"chat", "ocr"}
    assert answer["standing"]["versions"]["0"] >= 1
    assert part(TOKEN, {"question": 7}).status_code == 400
    assert part("acmes-key", question).status_code == 401


def audited(bench: Bench) -> list[Queried]:
    read = Decoder(bench.topics.audit)
    facts = [read(record).data for record in records(bench.log, bench.topics.audit.name)]
    return [fact for fact in facts if isinstance(fact, Queried)]
