"""A throttle whose limits the client goes by."""

from collections.abc import Iterator

import pytest

from midstage.contracts import topics
from midstage.testkit.waiting import within
from tests.throttle.conftest import TOKEN, Running, memory, running

__all__ = ["TOKEN", "Running"]


@pytest.fixture(scope="module")
def throttle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One throttle for a module's tests; each uses customers of its own."""
    with running(memory(), topics.LIMITS, tmp_path_factory.mktemp("throttle")) as served:
        yield served


def limited(
    throttle: Running, customer: str, *, amount: int = 1, period_s: float = 600, **more: object
) -> None:
    """One limit for the customer's requests to ``chat``, in force when this returns.

    Closed on failure: a lease that is over on a busy machine lets nothing pass uncounted.
    """
    algorithm = more.pop("algorithm", {"kind": "token_bucket", "period_s": period_s, "burst": 32})
    throttle.put(
        customer,
        customer=customer,
        app="chat",
        amount=amount,
        algorithm=algorithm,
        **{"on_failure": "closed", **more},
    ).raise_for_status()
    within(60, lambda: throttle.http.get(f"/v1/customers/{customer}/limits").json()["limits"])
