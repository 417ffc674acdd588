"""Availability and error budgets: exact, the caller's doing left out, unknown where nothing was."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts.apps import (
    AppRemoved,
    AppSpec,
    AppSpecified,
    How,
    RolloutStarted,
    revision_of,
)
from midstage.contracts.requests import Outcome
from midstage.stats.main import Service
from midstage.stats.views.availability import (
    MOST_TALLIES,
    Availability,
    AvailabilityAnswer,
    By,
    Tally,
    answer,
    query,
)
from midstage.stats.views.promises import DEFAULT, Promise, evolve, millionths, standing
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S, NOON, Bench, running

MINUTE = timedelta(minutes=1)
TOKEN = {"authorization": "Bearer secret"}
COUNT = st.integers(0, 10**15)
TARGET = st.integers(500_000, 999_990)


def specified(app: str = "chat", *, target: float = 0.999) -> AppSpecified:
    spec = AppSpec(image="chat:1", availability_target=target)
    return AppSpecified(app=app, at=NOON, spec=spec, revision=revision_of(spec))


def asked(*tallies: Tally, by: str = "app", **promises: Promise) -> AvailabilityAnswer:
    meant = query(app=None, since=None, until=None, by=by)
    return answer(meant, tallies, promises=promises, complete_until=NOON)


def only(*tallies: Tally, by: str = "app", **promises: Promise) -> Availability:
    (group,) = asked(*tallies, by=by, **promises).availability
    return group


def test_availability_is_good_requests_among_those_that_could_have_been_good() -> None:
    group = only(Tally(app="chat", good=9_990, errors=10))
    assert (group.good, group.valid, group.availability, group.target) == (
        *(9_990, 10_000),
        *(0.999, 0.999),
    )
    assert (group.budget.allowed_errors, group.budget.errors, group.budget.left) == (10, 10, 0)
    assert (group.budget.left_share, group.budget.exhausted) == (0.0, True)


def test_nothing_that_could_have_been_good_is_unknown_and_exhausts_nothing() -> None:
    group = only(Tally(app="chat"))
    assert (group.valid, group.availability, group.budget.left_share) == (0, None, None)
    assert not group.budget.exhausted


def test_a_few_good_requests_exhaust_nothing_and_one_error_among_them_does() -> None:
    assert not only(Tally(app="chat", good=3)).budget.exhausted
    missed = only(Tally(app="chat", good=3, errors=1)).budget
    assert (missed.allowed_micros, missed.left_micros) == (4_000, -996_000)
    assert missed.exhausted


def test_five_nines_of_a_large_number_are_exact() -> None:
    group = only(
        Tally(app="chat", good=123_456_789_012_345, errors=1),
        chat=Promise(target=millionths(0.99999)),
    )
    assert group.target == 0.99999
    assert group.budget.allowed_micros == 123_456_789_012_346 * 10
    assert group.budget.allowed_errors == 1_234_567_890.12346


@given(COUNT, COUNT, TARGET)
def test_what_is_left_is_what_was_allowed_without_the_errors(
    good: int, errors: int, target: int
) -> None:
    budget = only(Tally(app="chat", good=good, errors=errors), chat=Promise(target=target)).budget
    exact = (good + errors) * (1 - Fraction(target, 1_000_000))
    assert Fraction(budget.allowed_micros, 1_000_000) == exact
    assert Fraction(budget.left_micros, 1_000_000) == exact - errors
    assert budget.exhausted == (good + errors > 0 and errors >= exact)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["chat", "ocr", "asr"]), st.integers(0, 59)),
        st.tuples(COUNT, COUNT),
        min_size=1,
    ),
    TARGET,
)
def test_the_minutes_of_all_applications_add_up_to_the_hour_of_all(
    sums: dict[tuple[str, int], tuple[int, int]], target: int
) -> None:
    promises = {"chat": Promise(target=target)}
    minutes = [
        Tally(app=app, at=NOON + minute * MINUTE, good=good, errors=errors)
        for (app, minute), (good, errors) in sums.items()
    ]
    whole: Counter[tuple[str, str]] = Counter()
    for tally in minutes:
        whole[tally.app, "good"] += tally.good
        whole[tally.app, "errors"] += tally.errors
    hours = [
        Tally(app=app, at=NOON, good=whole[app, "good"], errors=whole[app, "errors"])
        for app in {tally.app for tally in minutes}
    ]
    parts = asked(*minutes, by="app,minute", **promises).availability
    total = only(*hours, by="hour", **promises)
    assert sum(part.good for part in parts) == total.good
    assert sum(part.valid for part in parts) == total.valid
    for field in ("allowed_micros", "left_micros", "errors"):
        assert sum(getattr(part.budget, field) for part in parts) == getattr(total.budget, field)


def test_applications_of_different_targets_have_no_target_together_but_a_budget() -> None:
    total = only(
        Tally(app="chat", good=1_000),
        Tally(app="ocr", good=1_000),
        by="",
        ocr=Promise(target=990_000),
    )
    assert (total.app, total.target) == (None, None)
    assert total.budget.allowed_errors == 1 + 10
    assert only(Tally(app="chat", good=1), Tally(app="asr", good=1), by="").target == 0.999


def test_what_shall_run_and_had_no_request_is_shown_as_unknown() -> None:
    here, gone = Promise(standing=True), Promise(standing=False)
    groups = asked(Tally(app="chat", good=1), chat=here, ocr=here, asr=gone).availability
    assert [(group.app, group.availability) for group in groups] == [("chat", 1.0), ("ocr", None)]
    assert [group.app for group in asked(by="app,minute", ocr=here).availability] == []


def test_too_many_groups_are_refused() -> None:
    tallies = [Tally(app=f"app-{number}") for number in range(MOST_TALLIES + 1)]
    with pytest.raises(Exception, match="narrow it"):
        asked(*tallies)


def test_a_promise_is_that_of_the_newest_spec_and_outlives_it() -> None:
    promise = evolve(evolve(Promise(), specified(target=0.95)), specified(target=0.99999))
    assert (promise.target, promise.standing) == (999_990, True)
    started = RolloutStarted(app="chat", at=NOON, revision="r", how=How.FIRST)
    assert evolve(promise, started) == promise
    removed = evolve(promise, AppRemoved(app="chat", at=NOON))
    assert (removed.target, removed.standing) == (999_990, False)
    assert standing({"chat": promise, "ocr": removed}) == {"chat"}
    assert Promise().target == DEFAULT == 999_000


def served(bench: Bench) -> TestClient:
    """12:00 to 12:02: 3 ok and 1 error on chat, on ocr nothing that could have been good."""
    edge = bench.edge()
    later = NOON + MINUTE
    bench.write(
        edge.line(1),
        edge.line(2, customer="globex"),
        edge.line(3, outcome=Outcome.ERROR, status=502, time=later),
        edge.line(4, time=later),
        edge.line(5, outcome=Outcome.INVALID, status=400),
        edge.line(6, outcome=Outcome.CANCELLED, status=0),
        edge.line(7, outcome=Outcome.REFUSED, status=429, app="ocr"),
        edge.line(8, app="old", time=NOON + timedelta(hours=1)),
        edge.beat(8),
        edge.closed(9),
    )
    return TestClient(bench.caught_up().app, headers=TOKEN)


def ask(client: TestClient, path: str = "") -> list[dict[str, object]]:
    found = client.get(f"/v1/availability{path}")
    assert found.status_code == 200, found.text
    groups: list[dict[str, object]] = found.json()["availability"]
    return groups


def test_only_good_requests_and_errors_count(bench: Bench) -> None:
    groups = ask(served(bench))
    assert [(one["app"], one["good"], one["valid"], one["availability"]) for one in groups] == [
        ("chat", 3, 4, 0.75),
        ("ocr", 0, 0, None),
        ("old", 1, 1, 1.0),
    ]
    assert {one["target"] for one in groups} == {0.999}


def test_it_is_asked_by_minute_hour_and_application(bench: Bench) -> None:
    client = served(bench)
    minutes = ask(client, "?app=chat&by=minute")
    assert [(one["minute"], one["good"], one["valid"]) for one in minutes] == [
        ("2026-01-01T12:00:00Z", 2, 2),
        ("2026-01-01T12:01:00Z", 1, 2),
    ]
    hours = ask(client, "?by=hour")
    assert [(one["app"], one["hour"], one["valid"]) for one in hours] == [
        (None, "2026-01-01T12:00:00Z", 4),
        (None, "2026-01-01T13:00:00Z", 1),
    ]
    (part,) = ask(client, "?by=&from=2026-01-01T12:01:00Z&to=2026-01-01T12:02:00Z")
    assert (part["good"], part["valid"]) == (1, 2)


@pytest.mark.slow
def test_a_late_event_counts_in_its_minute_once_and_a_restart_changes_nothing(bench: Bench) -> None:
    client = served(bench)
    before = ask(client, "?by=app,minute")
    late = bench.edge().line(9, outcome=Outcome.ERROR, status=500)
    bench.write(late, late, bench.edge().line(1))
    after = ask(TestClient(bench.caught_up().app, headers=TOKEN), "?by=app,minute")
    assert [one for one in after if one not in before] == [
        one for one in after if (one["app"], one["minute"]) == ("chat", "2026-01-01T12:00:00Z")
    ]
    assert (after[0]["good"], after[0]["valid"]) == (2, 3)
    assert ask(TestClient(bench.caught_up().app, headers=TOKEN), "?by=app,minute") == after


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(Outcome), st.integers(0, 179)), max_size=25))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_ledgers_minutes_add_up_to_its_hours(
    benches: Callable[[], Bench], requests: list[tuple[Outcome, int]]
) -> None:
    bench = benches()
    bench.write(
        *(
            bench.edge().line(seq, outcome=outcome, time=NOON + minute * MINUTE)
            for seq, (outcome, minute) in enumerate(requests, start=1)
        )
    )
    client = TestClient(bench.caught_up().app, headers=TOKEN)
    minutes, hours = ask(client, "?by=minute"), ask(client, "?by=hour")
    bench.stop()
    sums: Counter[str] = Counter()
    for one in minutes:
        sums[f"{str(one['minute'])[:13]} valid"] += int(str(one["valid"]))
        sums[f"{str(one['minute'])[:13]} good"] += int(str(one["good"]))
    for one in hours:
        assert sums[f"{str(one['hour'])[:13]} valid"] == one["valid"]
        assert sums[f"{str(one['hour'])[:13]} good"] == one["good"]
    good = sum(outcome is Outcome.OK for outcome, _ in requests)
    assert sum(int(str(one["good"])) for one in hours) == good


@pytest.mark.slow
def test_up_to_when_it_is_complete_is_said(bench: Bench) -> None:
    edge = bench.edge()
    bench.write(edge.line(1), edge.beat(1, at=datetime.now(UTC)))
    client = TestClient(bench.caught_up().app, headers=TOKEN)
    assert client.get("/v1/availability").json()["complete_until"] is not None
    bench.write(edge.beat(3, at=datetime.now(UTC) + MINUTE))
    before = client.get("/v1/availability").json()["complete_until"]
    client = TestClient(bench.caught_up().app, headers=TOKEN)
    assert client.get("/v1/availability").json()["complete_until"] == before  # 2 and 3 are missing


@pytest.mark.parametrize(
    ("asked_for", "sentence"),
    [
        ("by=customer", "by='customer' is none of app, minute, hour"),
        ("by=minute,hour", "take one of them"),
        ("from=2026-01-01T12:00:30Z", "whole minute"),
        ("from=2026-01-01T12:01:00Z&to=2026-01-01T12:00:00Z", "is after"),
    ],
)
def test_a_question_that_can_not_be_meant_is_refused(
    bench: Bench, asked_for: str, sentence: str
) -> None:
    refused = TestClient(bench.start().app, headers=TOKEN).get(f"/v1/availability?{asked_for}")
    assert refused.status_code == 422
    assert sentence in refused.json()["detail"]


@pytest.mark.slow
def test_an_application_has_a_load_from_its_spec_on(bench: Bench) -> None:
    bench.write(bench.edge().beat(0, at=datetime.now(UTC)))
    bench.caught_up()
    bench.stop()
    bench.specify("ocr", 1, specified("ocr"))
    service = bench.start()
    with running(service):
        (load,) = within(DEADLINE_S, service.loads.recent)[:1]
    assert (load.app, load.outcomes, load.shards) == ("ocr", {}, 1)


def target_of(service: Service, app: str) -> object:
    groups = ask(TestClient(service.app, headers=TOKEN), f"?app={app}")
    return groups[0]["target"] if groups else None


@pytest.mark.slow
def test_a_spec_gives_the_target_and_without_its_topic_stats_counts_all_the_same(
    bench: Bench,
) -> None:
    bench.write(bench.edge().line(1))
    service = bench.caught_up()
    assert target_of(service, "chat") == 0.999
    bench.specify("chat", 1, specified(target=0.99999))
    bench.specify("ocr", 1, specified("ocr", target=0.9))
    with running(service):
        within(DEADLINE_S, lambda: target_of(service, "chat") == 0.99999)
        within(DEADLINE_S, lambda: target_of(service, "ocr") == 0.9)
        bench.specify("chat", 2, AppRemoved(app="chat", at=NOON))
        within(DEADLINE_S, lambda: not service.apps.states()["chat"].standing)
    assert target_of(service, "chat") == 0.99999
    assert By.HOUR in query(app=None, since=None, until=None, by="hour").by
