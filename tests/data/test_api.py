"""What analysts are answered: filters, pages that miss and repeat nothing, refusals with a name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts.requests import Outcome
from midstage.data.main import Service
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S, HOUR, MINUTE, Bench, client, made, reading


@dataclass
class Asked:
    """A data that has read its log, and the one who asks."""

    service: Service
    client: TestClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = client(self.service)

    def __call__(self, query: str = "", status: int = 200) -> dict[str, object]:
        answer = self.client.get(f"/v1/records?{query}")
        assert answer.status_code == status, answer.text
        found: dict[str, object] = answer.json()
        return found

    def refs(self, query: str = "") -> list[str]:
        page = self(query)["records"]
        assert isinstance(page, list)
        return [record["ref"] for record in page]

    def pages(self, query: str) -> list[str]:
        """The references of all pages, one after another."""
        refs: list[str] = []
        after = ""
        while True:
            page = self(f"{query}{after}")
            assert isinstance(page["records"], list)
            refs += [record["ref"] for record in page["records"]]
            if page["next"] is None:
                return refs
            after = f"&after={page['next']}"


@pytest.fixture(scope="module")
def bench_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = made(MemoryLog(), tmp_path_factory.mktemp("bench"))
    yield bench
    bench.stop()


@pytest.fixture(scope="module")
def asked(bench_of_all: Bench) -> Asked:
    """Three records of one hour in a part, two of the next outside; nobody adds any."""
    bench = bench_of_all
    edge = bench.edge()
    bench.write(
        edge.line(1, ref="a", revision="r1", pod="p-1"),
        edge.line(2, ref="b", customer="globex", time=NOON + MINUTE),
        edge.line(3, ref="c", app="ocr", time=NOON + MINUTE, outcome=Outcome.ERROR, status=503),
    )
    service = bench.caught_up()
    bench.clock.advance(3 * HOUR)
    service.closing.turn()
    bench.write(
        edge.line(4, ref="d", time=NOON + HOUR, pod="p-2"),
        bench.stray("x", ref="e", time=NOON + HOUR, app="ocr"),
    )
    bench.reads_on(service)
    assert client(service).get("/v1/status").json()["staged_rows"] == 2
    return Asked(service)


def test_records_come_in_the_order_of_time_from_parts_and_outside(asked: Asked) -> None:
    assert asked.refs() == ["a", "b", "c", "d", "e"]
    assert asked.refs("order=newest") == ["e", "d", "c", "b", "a"]


@pytest.mark.parametrize(
    ("query", "refs"),
    [
        ("app=ocr", "ce"),
        ("customer=globex", "b"),
        ("outcome=error", "c"),
        ("status=503", "c"),
        ("pod=p-2", "d"),
        ("pod=", "bce"),
        ("revision=r1", "a"),
        ("ref=e", "e"),
        ("from=2026-01-01T12:01:00Z", "bcde"),
        ("to=2026-01-01T12:01:00Z", "a"),
        ("from=2026-01-01T14:00:00%2B01:00", "de"),
        ("from=2026-01-01T12:01:00Z&to=2026-01-01T13:00:00Z&customer=acme", "c"),
        ("app=ocr&order=newest", "ec"),
        ("app=nothing", ""),
        ("from=2027-01-01T00:00:00Z", ""),
    ],
)
def test_filters_hold_together(asked: Asked, query: str, refs: str) -> None:
    assert asked.refs(query) == [*refs]


def test_a_record_is_shown_whole(asked: Asked, bench_of_all: Bench) -> None:
    (record,) = client(asked.service).get("/v1/records?ref=a").json()["records"]
    assert record.pop("partition") in range(3)
    assert record == {
        "time": "2026-01-01T12:00:00Z",
        "source": bench_of_all.edge().source,
        "seq": 1,
        "id": f"{bench_of_all.edge().source}/1",
        "app": "chat",
        "revision": "r1",
        "endpoint": "",
        "customer": "acme",
        "status": 200,
        "outcome": "ok",
        "duration_ms": 120.0,
        "queue_ms": None,
        "ttft_ms": None,
        "bytes_in": 0,
        "bytes_out": 0,
        "usage": {"input_tokens": 3, "requests": 1},
        "estimated": False,
        "labels": {},
        "ref": "a",
        "cluster": "",
        "pod": "p-1",
        "trace_id": "",
        "offset": 0,
    }


@pytest.mark.parametrize("order", ["oldest", "newest"])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
def test_pages_give_each_record_once(asked: Asked, order: str, limit: int) -> None:
    refs = asked.pages(f"limit={limit}&order={order}")
    assert refs == sorted("abcde", reverse=order == "newest")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("from=yesterday", "from='yesterday' is not a time"),
        ("to=2026-01-01T12:00:00", "to='2026-01-01T12:00:00' has no time zone"),
        ("to=0001-01-01T00:00:00%2B23:00", "is not a time"),
        ("from=2026-01-01T12:01:00Z&to=2026-01-01T12:00:00Z", "is after"),
        ("outcome=fine", "outcome='fine' is none of ok,"),
        ("order=sideways", "order='sideways' is none of oldest, newest"),
        ("after=nonsense", "after='nonsense' is not a cursor"),
        ("after=" + quote("…"), "is not a cursor"),
        ("after=W10", "is not a cursor"),
        ("after=", "is not a cursor"),
        ("limit=1001", "query.limit"),
        ("limit=0", "query.limit"),
        ("status=1000", "query.status"),
        ("status=five", "query.status"),
    ],
)
def test_a_question_that_can_not_be_meant_is_refused_by_name(
    asked: Asked, query: str, sentence: str
) -> None:
    assert sentence in str(asked(query, status=422)["detail"])


def test_a_cursor_belongs_to_its_order(asked: Asked) -> None:
    cursor = asked("limit=1")["next"]
    refused = asked(f"order=newest&after={cursor}", status=422)
    assert "is of pages in the order oldest" in str(refused["detail"])


def test_what_looks_like_a_statement_is_a_name_like_any_other(bench: Bench) -> None:
    name = "'; DROP TABLE staged; -- 客户 %_ $files {} \0"
    bench.write(bench.edge().line(1, customer=name, app=name, ref=name), bench.edge().line(2))
    ask = client(bench.caught_up())
    wanted = {"customer": name, "app": name, "ref": name, "pod": ""}
    (record,) = ask.get("/v1/records", params=wanted).json()["records"]
    assert (record["ref"], record["customer"], record["app"]) == (name, name, name)
    assert ask.get("/v1/records", params={"ref": "%"}).json()["records"] == []
    assert ask.get("/v1/status").json()["rows"] == 2


def test_the_status_says_lag_rows_and_hours(asked: Asked) -> None:
    status = asked.client.get("/v1/status").json()
    assert status.pop("part_bytes") > 0
    assert status == {
        "lag_records": 0,
        "rows": 5,
        "staged_rows": 2,
        "oldest_hour": "2026-01-01T12:00:00Z",
        "newest_hour": "2026-01-01T13:00:00Z",
        "parts": 1,
    }


def test_without_a_record_there_is_no_hour(bench: Bench) -> None:
    ask = Asked(bench.caught_up())
    assert ask() == {"records": [], "next": None}
    status = ask.client.get("/v1/status").json()
    assert (status["rows"], status["oldest_hour"], status["newest_hour"]) == (0, None, None)


def test_ready_is_making_progress(bench: Bench) -> None:
    service = bench.start()
    ask = client(service)
    assert "keeping" in ask.get("/readyz").text
    with reading(service):
        within(DEADLINE_S, lambda: ask.get("/readyz").status_code == 200)


TIMES = st.integers(0, 5 * 60).map(lambda minutes: NOON + minutes * MINUTE)
ROUND = st.lists(TIMES, max_size=8)


@pytest.mark.slow
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    before=ROUND,
    rounds=st.lists(ROUND, max_size=4),
    limit=st.integers(1, 4),
    order=st.sampled_from(["oldest", "newest"]),
)
def test_pages_one_after_another_are_all_records_once_while_others_arrive(
    benches: Callable[[], Bench],
    before: list[datetime],
    rounds: list[list[datetime]],
    limit: int,
    order: str,
) -> None:
    bench = benches()
    count = 0

    def arrive(service: Service, times: list[datetime]) -> None:
        nonlocal count
        lines = [
            bench.edge().line(count + n, ref=f"{count + n}", time=time)
            for n, time in enumerate(times, start=1)
        ]
        count += len(times)
        bench.write(*lines)
        bench.reads_on(service)

    service = bench.start()
    arrive(service, before)
    ask, coming, seen, after = Asked(service), list(rounds), list[tuple[str, str]](), ""
    while True:
        page = ask(f"limit={limit}&order={order}{after}")
        assert isinstance(page["records"], list)
        seen += [(record["time"], record["ref"]) for record in page["records"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
        arrive(service, coming.pop() if coming else [])
        bench.clock.advance(2 * HOUR)
        service.closing.turn()
    refs = [ref for _, ref in seen]
    assert len(refs) == len(set(refs))
    assert {f"{number}" for number in range(1, len(before) + 1)} <= set(refs)
    times = [time for time, _ in seen]
    assert times == sorted(times, reverse=order == "newest")
    bench.stop()
