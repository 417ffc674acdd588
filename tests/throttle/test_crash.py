"""Killed under load on a real Kafka: what a customer has used stays used, whoever counts."""

from dataclasses import replace

import pytest

from tests.throttle.crashes.run import Plan, crashed

PATIENT_MS = 2000.0
"""How much passes in time is for a quiet machine to say: here nobody's time is up."""
SMALL = Plan(
    kills=3,
    rolled_each=6,
    between=100,
    steady=300,
    steady_s=0.0,
    rests_s=0.05,
    answer_within_ms=PATIENT_MS,
)


@pytest.mark.platform
@pytest.mark.slow
def test_three_owners_that_crash_and_stop_grant_nothing_twice(kafka: str) -> None:
    told = crashed(SMALL, kafka=kafka)
    found = told.verdicts()
    assert [each.name for each in found if each.over > 0] == []
    assert [each.name for each in found if each.admitted == 0] == []
    assert told.failure_mode_allowed == 0
    assert told.forwarded > 0


@pytest.mark.platform
@pytest.mark.slow
def test_owners_that_come_and_go_in_order_leave_what_they_have_to_each_other(kafka: str) -> None:
    told = crashed(replace(SMALL, kills=0, orderly=1), kafka=kafka)
    found = told.verdicts()
    assert [each.name for each in found if each.over > 0] == []
    assert [each.name for each in found if each.admitted == 0] == []
    assert told.failure_mode_allowed == 0
    assert told.stops == 1 + SMALL.owners
    assert told.handed > 0


@pytest.mark.platform
@pytest.mark.slow
def test_without_room_taken_in_advance_a_crash_grants_twice(kafka: str) -> None:
    """The negative control: the same run with counters that die with the process."""
    plan = Plan(
        owners=1,
        kills=2,
        steady=200,
        between=200,
        holders=0,
        kept=False,
        steady_s=0.0,
        answer_within_ms=PATIENT_MS,
    )
    assert max(each.over for each in crashed(plan, kafka=kafka).verdicts()) > 0


@pytest.mark.platform
@pytest.mark.slow
def test_leases_that_nobody_subtracts_let_too_much_pass(kafka: str) -> None:
    """The other one: what is lent is the owner's as well."""
    plan = Plan(
        owners=1, kills=0, steady=100, steady_s=0.0, counted=False, answer_within_ms=PATIENT_MS
    )
    assert max(each.over for each in crashed(plan, kafka=kafka).verdicts()) > 0
