"""What analysts are answered about usage, over the composed application."""

import json

import pytest

from midstage.contracts.fact import Event
from midstage.contracts.metered import METERED, Metered
from midstage.eventlog.codec import message
from midstage.stats.adapters.usage import reading, statements

from .asking import TOKEN, Asked, Row, asking, few_calls
from .conftest import NOON, Bench


@pytest.fixture
def asked(bench: Bench) -> Asked:
    return few_calls(bench)


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


def test_the_answer_repeats_what_was_asked(asked: Asked) -> None:
    query = "from=2026-01-01T00:00:00%2B01:00&to=2026-01-03T00:00:00Z&window=day&zone=Europe/Berlin"
    said = asked(f"?{query}").json()
    assert [said[name] for name in ("from", "to", "window", "zone")] == [
        *("2025-12-31T23:00:00Z", "2026-01-03T00:00:00Z", "day", "Europe/Berlin"),
    ]
    said = asked().json()
    assert [said[name] for name in ("from", "to", "window", "zone")] == [None, None, None, "UTC"]


def test_a_label_that_is_empty_is_not_one_that_is_missing(bench: Bench) -> None:
    edge = bench.edge()
    ask = asking(
        bench,
        edge.line(1, labels={"team": ""}),
        edge.line(2, labels={"other": "a"}),
        edge.line(3, labels={"team": "a", "other": "a"}),
    )
    rows = ask.rows("?group_by=label.team&measures=requests")
    assert [(row["label.team"], row["requests"]) for row in rows] == [(None, 1), ("", 1), ("a", 1)]
    for query, requests in (("label.team=", 1), ("label.team=&label.team=a", 2), ("label.x=", 0)):
        found = ask.rows(f"?measures=requests&{query}")
        assert sum(int(str(row["requests"])) for row in found) == requests
    by_both = ask.rows("?group_by=label.other,label.team&measures=requests")
    assert [(row["label.other"], row["label.team"]) for row in by_both] == [
        *((None, ""), ("a", None), ("a", "a")),
    ]


def test_metered_work_is_no_request_and_has_no_duration(bench: Bench) -> None:
    edge = bench.edge()
    fact = Metered(customer="globex", app="job", units={"pages": 2})
    work = Event(id="job-1", source=edge.source, seq=2, type=METERED, time=NOON, data=fact)
    line = message(work, topic=bench.topics.requests.name, key=edge.source, signing_key=edge.key)
    ask = asking(bench, edge.line(1, duration_ms=800.0), line)
    by_kind = ask.rows("?group_by=kind&measures=requests,units.pages,bytes_in,latency_ms.p50")
    assert [(row["kind"], row["requests"], row["units"]) for row in by_kind] == [
        *(("metered", 0, {"pages": 2}), ("request", 1, {})),
    ]
    assert [row["latency_ms"] for row in by_kind] == [
        *({"p50": None}, {"p50": pytest.approx(800, rel=0.01)}),
    ]
    (whole,) = ask.rows("?measures=customers,latency_ms.p50")
    assert whole == {"customers": 2, "latency_ms": {"p50": pytest.approx(800, rel=0.01)}}


def test_groups_without_a_quantile_come_before_all_others(bench: Bench) -> None:
    edge = bench.edge()
    told = [("a", 30.0, 9.0), ("b", None, 8.0), ("c", 10.0, 7.0), ("d", None, 6.0)]
    lines = [
        edge.line(n, app=app, ttft_ms=ttft, duration_ms=duration)
        for n, (app, ttft, duration) in enumerate(told, start=1)
    ]
    ask = asking(bench, *lines)

    def apps(order: str) -> str:
        query = f"?group_by=app&measures=ttft_ms.p99.9,latency_ms.p50&order={order}"
        return "".join(str(row["app"]) for row in ask.rows(query))

    assert apps("ttft_ms.p99.9") == "bdca"
    assert apps("-ttft_ms.p99.9") == "acbd"
    assert apps("-ttft_ms.p99.9,-app") == "acdb"
    assert apps("latency_ms.p50") == "dcba"


def test_a_page_that_ends_with_the_answer_is_the_last(asked: Asked) -> None:
    assert [len(asked(f"?group_by=customer&limit={n}").json()["usage"]) for n in (2, 3, 4)] == [
        *(2, 3, 3),
    ]
    assert asked("?group_by=customer&limit=2").json()["next"] is not None
    assert asked("?group_by=customer&limit=3").json()["next"] is None


@pytest.mark.parametrize(
    "other",
    ["order=-customer", "to=2027-01-01T00:00:00Z", "app=chat", "measures=units", "window=day"],
)
def test_a_page_is_of_one_question_in_every_word(asked: Asked, other: str) -> None:
    query = "?group_by=customer&limit=1&from=2026-01-01T00:00:00Z"
    following = asked(query).json()["next"]
    refused = asked(f"{query}&{other}&after={following}")
    assert "of another question" in refused.json()["detail"]
    assert asked(f"{query}&after={following}").json()["usage"][0]["customer"] == "globex"
