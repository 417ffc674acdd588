"""How a request ended, and what of it counts."""

import pytest

from midstage.contracts.requests import (
    UNKNOWN_CUSTOMER,
    Outcome,
    RequestCompleted,
    billable,
    outcome_of,
)


@pytest.mark.parametrize(
    ("status", "by", "end", "outcome"),
    [
        (200, "replica", "whole", Outcome.OK),
        (101, "replica", "whole", Outcome.OK),
        (302, "replica", "whole", Outcome.OK),
        (400, "replica", "whole", Outcome.INVALID),
        (404, "gateway", "whole", Outcome.INVALID),
        (401, "replica", "whole", Outcome.INVALID),
        (429, "replica", "whole", Outcome.INVALID),
        (401, "gateway", "whole", Outcome.REFUSED),
        (403, "gateway", "whole", Outcome.REFUSED),
        (429, "gateway", "whole", Outcome.REFUSED),
        (500, "replica", "whole", Outcome.ERROR),
        (503, "gateway", "whole", Outcome.ERROR),
        (0, "gateway", "whole", Outcome.ERROR),
        (200, "replica", "broke off", Outcome.ERROR),
        (429, "gateway", "broke off", Outcome.ERROR),
        (200, "replica", "caller left", Outcome.CANCELLED),
        (0, "gateway", "caller left", Outcome.CANCELLED),
        (503, "gateway", "caller left", Outcome.CANCELLED),
    ],
)
def test_each_end_has_one_outcome(status: int, by: str, end: str, outcome: Outcome) -> None:
    assert outcome == outcome_of(
        status=status,
        by_gateway=by == "gateway",
        broke_off=end == "broke off",
        caller_left=end == "caller left",
    )


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (Outcome.OK, True),
        (Outcome.CANCELLED, True),
        (Outcome.ERROR, False),
        (Outcome.INVALID, False),
        (Outcome.REFUSED, False),
    ],
)
def test_what_was_delivered_counts(outcome: Outcome, counts: bool) -> None:
    assert billable(completed(outcome)) == ({"requests": 1} if counts else {})


def test_errors_count_where_settings_say_so() -> None:
    billed = frozenset({Outcome.OK, Outcome.ERROR})
    assert billable(completed(Outcome.ERROR), billed) == {"requests": 1}


def test_an_unknown_customer_pays_nothing() -> None:
    assert billable(completed(Outcome.OK, customer=UNKNOWN_CUSTOMER)) == {}


def completed(outcome: Outcome, *, customer: str = "acme") -> RequestCompleted:
    return RequestCompleted(
        app="chat",
        customer=customer,
        status=200,
        outcome=outcome,
        duration_ms=1.0,
        usage={"requests": 1},
    )
