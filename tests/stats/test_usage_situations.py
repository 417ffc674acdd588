"""The situations of OpenMeter's end-to-end tests, told to our ledger and asked over HTTP."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from fastapi.testclient import TestClient

from midstage.contracts.fact import Event
from midstage.contracts.requests import RequestCompleted
from midstage.eventlog.codec import message

from .conftest import NOON, Bench, request

HOUR = timedelta(hours=1)
Row = dict[str, object]


def told(bench: Bench, events: Sequence[Event[RequestCompleted]]) -> TestClient:
    """A stats that has these events, which carry no numbers, from its log."""
    topic = bench.topics.requests.name
    bench.write(*(message(event, topic=topic, key=event.source) for event in events))
    client = TestClient(bench.caught_up().app)
    client.headers["authorization"] = "Bearer secret"
    return client


def ask(client: TestClient, query: str) -> list[Row]:
    answer = client.get(f"/v1/usage?{query}")
    assert answer.status_code == 200, answer.text
    found: list[Row] = answer.json()["usage"]
    return found


def event(name: str, time: datetime = NOON, **said: object) -> Event[RequestCompleted]:
    fact: Event[RequestCompleted] = request("my-app", None, event_id=name, time=time, **said)
    return fact


def counts(rows: Sequence[Row]) -> list[tuple[object, object]]:
    return [(row["window"], row["requests"]) for row in rows]


def test_the_same_id_a_thousand_times_counts_once(bench: Bench) -> None:
    client = told(bench, [event("once")] * 1000)
    (row,) = ask(client, "")
    assert (row["requests"], row["units"]) == (1, {"requests": 1, "input_tokens": 3})


def test_totals_by_minute_hour_and_day(bench: Bench) -> None:
    """As they do it: one event a minute for an hour and a half, and one a day later."""
    minutes = [event(f"m-{n}", NOON + n * timedelta(minutes=1)) for n in range(90)]
    client = told(bench, [*minutes, event("late", NOON + 24 * HOUR)])
    span = "from=2026-01-01T12:00:00Z&to=2026-01-03T00:00:00Z&measures=requests"
    by_minute = counts(ask(client, f"{span}&window=minute"))
    assert by_minute[:2] == [("2026-01-01T12:00:00Z", 1), ("2026-01-01T12:01:00Z", 1)]
    assert len(by_minute) == 91
    assert counts(ask(client, f"{span}&window=hour")) == [
        ("2026-01-01T12:00:00Z", 60),
        ("2026-01-01T13:00:00Z", 30),
        ("2026-01-02T12:00:00Z", 1),
    ]
    assert counts(ask(client, f"{span}&window=day")) == [
        ("2026-01-01T00:00:00Z", 90),
        ("2026-01-02T00:00:00Z", 1),
    ]
    assert [row["requests"] for row in ask(client, span)] == [91]


def test_totals_by_second(bench: Bench) -> None:
    seconds = [event(f"s-{n}", NOON + timedelta(seconds=n / 2)) for n in range(5)]
    client = told(bench, seconds)
    span = "from=2026-01-01T12:00:00Z&to=2026-01-01T12:01:00Z&measures=requests"
    assert counts(ask(client, f"{span}&window=second")) == [
        ("2026-01-01T12:00:00Z", 2),
        ("2026-01-01T12:00:01Z", 2),
        ("2026-01-01T12:00:02Z", 1),
    ]


def test_totals_by_subject_and_group(bench: Bench) -> None:
    """Their meter groups by method and route; here those are labels."""
    events = [
        event(
            f"e-{n}",
            customer=f"customer-{n % 2}",
            labels={"method": "GET" if n % 3 else "POST", "route": "/hello"},
            usage={"duration_s": 100},
        )
        for n in range(12)
    ]
    client = told(bench, events)
    rows = ask(client, "group_by=customer,label.method&measures=units.duration_s")
    assert [(row["customer"], row["label.method"], row["units"]) for row in rows] == [
        ("customer-0", "GET", {"duration_s": 400}),
        ("customer-0", "POST", {"duration_s": 200}),
        ("customer-1", "GET", {"duration_s": 400}),
        ("customer-1", "POST", {"duration_s": 200}),
    ]
    (one,) = ask(client, "customer=customer-1&label.method=POST&measures=units.duration_s")
    assert one["units"] == {"duration_s": 200}


def test_a_day_on_which_the_clock_is_set(bench: Bench) -> None:
    """One event an hour of UTC from Berlin's midnight on."""
    midnight = datetime(2026, 10, 24, 22, tzinfo=UTC)
    client = told(bench, [event(f"h-{n}", midnight + n * HOUR) for n in range(49)])
    span = "from=2026-10-24T22:00:00Z&to=2026-10-27T00:00:00Z&measures=requests&window=day"
    assert counts(ask(client, f"{span}&zone=Europe/Berlin")) == [
        ("2026-10-25T00:00:00+02:00", 25),
        ("2026-10-26T00:00:00+01:00", 24),
    ]
    spring = datetime(2026, 3, 28, 23, tzinfo=UTC)
    client = told(bench, [event(f"s-{n}", spring + n * HOUR) for n in range(47)])
    span = "from=2026-03-28T23:00:00Z&to=2026-03-31T00:00:00Z&measures=requests&window=day"
    assert counts(ask(client, f"{span}&zone=Europe/Berlin")) == [
        ("2026-03-29T00:00:00+01:00", 23),
        ("2026-03-30T00:00:00+02:00", 24),
    ]


def test_an_hour_in_which_the_clock_is_set_by_half_an_hour(bench: Bench) -> None:
    """Lord Howe's: one event each quarter of an hour, in autumn and in spring."""
    quarter, zone = timedelta(minutes=15), "zone=Australia/Lord_Howe&window=hour&measures=requests"
    autumn = datetime(2026, 4, 4, 14, tzinfo=UTC)
    client = told(bench, [event(f"a-{n}", autumn + n * quarter) for n in range(10)])
    rows = ask(client, f"{zone}&from=2026-04-04T14:00:00Z&to=2026-04-04T17:00:00Z")
    assert [(row["window"], row["window_end"], row["requests"]) for row in rows] == [
        ("2026-04-05T01:00:00+11:00", "2026-04-05T01:30:00+10:30", 4),
        ("2026-04-05T01:30:00+10:30", "2026-04-05T02:00:00+10:30", 2),
        ("2026-04-05T02:00:00+10:30", "2026-04-05T03:00:00+10:30", 4),
    ]
    spring = datetime(2026, 10, 3, 14, 30, tzinfo=UTC)
    client = told(bench, [event(f"s-{n}", spring + n * quarter) for n in range(10)])
    rows = ask(client, f"{zone}&from=2026-10-03T14:30:00Z&to=2026-10-03T17:00:00Z")
    assert [(row["window"], row["window_end"], row["requests"]) for row in rows] == [
        ("2026-10-04T01:00:00+10:30", "2026-10-04T02:30:00+11:00", 4),
        ("2026-10-04T02:30:00+11:00", "2026-10-04T03:00:00+11:00", 2),
        ("2026-10-04T03:00:00+11:00", "2026-10-04T04:00:00+11:00", 4),
    ]


def test_a_leap_day_is_a_day_of_its_month_and_week(bench: Bench) -> None:
    days = [datetime(2024, 2, 28, 12, tzinfo=UTC) + n * 24 * HOUR for n in range(3)]
    client = told(bench, [event(f"d-{n}", day) for n, day in enumerate(days)])
    span = "from=2024-02-01T00:00:00Z&to=2024-04-01T00:00:00Z&measures=requests"
    assert [row[0] for row in counts(ask(client, f"{span}&window=day"))] == [
        *("2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
    ]
    assert counts(ask(client, f"{span}&window=month")) == [
        ("2024-02-01T00:00:00Z", 2),
        ("2024-03-01T00:00:00Z", 1),
    ]
    (week,) = ask(client, f"{span}&window=week")
    assert (week["window"], week["window_end"]) == ("2024-02-26T00:00:00Z", "2024-03-04T00:00:00Z")


def test_totals_as_csv(bench: Bench) -> None:
    client = told(bench, [event("a", usage={"tokens": 1.5}), event("b", customer="globex")])
    answer = client.get(
        "/v1/usage?group_by=customer&measures=requests,units.tokens&window=day"
        "&from=2026-01-01T00:00:00Z",
        headers={"accept": "text/csv"},
    )
    assert answer.text.split("\r\n") == [
        "window,window_end,customer,requests,units.tokens",
        "2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,acme,1,1.5",
        "2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,globex,1,",
        "",
    ]


def test_an_explicit_zero_and_cached_tokens_stay_what_they_are(bench: Bench) -> None:
    """Others filled the zero with an estimate, and lost the cached tokens into the rest."""
    usage = {"input_tokens": 1000, "cached_input_tokens": 750, "output_tokens": 0}
    client = told(bench, [event("a", usage=usage)])
    (row,) = ask(client, "")
    assert row["units"] == {"cached_input_tokens": 750, "input_tokens": 1000, "output_tokens": 0}
