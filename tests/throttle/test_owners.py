"""Two throttles over one log: whoever is asked, one counts; and one takes over from the other."""

import re
from pathlib import Path

import pytest

from midstage.contracts import topics
from midstage.testkit.waiting import within
from tests.throttle.conftest import Running, memory, running

BURST = 30


@pytest.mark.slow
def test_what_the_other_one_counts_is_asked_there_until_it_is_gone(tmp_path: Path) -> None:
    log = memory()
    terms = {"amount": 1, "on_failure": "closed"}
    algorithm = {"kind": "token_bucket", "period_s": 86_400, "burst": BURST}
    with running(log, topics.LIMITS, tmp_path) as first:
        assert first.put("acme-chat", algorithm=algorithm, **terms).status_code == 200
        within(60, lambda: first.http.get("/v1/limits/acme-chat").status_code == 200)
        passed = 0

        def first_passed() -> bool:
            nonlocal passed
            passed += first.passes("acme", "chat")
            return passed >= BURST // 3

        within(60, first_passed)
        with running(log, topics.LIMITS, tmp_path) as second:

            def asked_there() -> bool:
                nonlocal passed
                passed += first.passes("acme", "chat")
                return admitted(second) > 0

            within(60, asked_there)
            passed += second.passes("acme", "chat")
            assert lent(first) == lent(first, path="/v1/checks") == 503
            assert lent(second) == 200
        after = [0]

        def first_counts() -> bool:
            after[0] += first.passes("acme", "chat")
            return after[0] > 0

        within(60, first_counts)
        rest = sum(first.passes("acme", "chat") for _ in range(BURST))
        assert passed + after[0] + rest <= BURST


def lent(throttle: Running, path: str = "/v1/leases") -> int:
    """Whether it lends, or answers a check over HTTP: only who counts for the customer may."""
    check = {"customer": "acme", "app": "chat", "units": {"requests": 0}}
    apps = {"chat": {"requests": 1.0}}
    asks = {"holder": "edge", "asks": [{"customer": "acme", "apps": apps}]}
    return throttle.http.post(path, json=check if path == "/v1/checks" else asks).status_code


def admitted(throttle: Running) -> float:
    """How many checks it has let pass, whoever was asked first."""
    told = throttle.http.get("/metrics").text
    found = re.search(r'^midstage_throttle_checks_total\{verdict="admitted"\} (\S+)$', told, re.M)
    return float(found[1]) if found else 0.0
