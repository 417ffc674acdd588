"""What no limit judged is counted each time, and logged once a minute."""

import logging

import pytest
from prometheus_client import CollectorRegistry

from midstage.throttle.adapters.unjudged import LOGGED_EACH_S, Unjudged
from midstage.throttle.metrics import Metrics


def test_each_is_counted_and_one_a_minute_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    clock = [0.0]
    unjudged = Unjudged(metrics=Metrics(registry), monotonic=lambda: clock[0])
    with caplog.at_level(logging.WARNING):
        for _ in range(1_000):
            unjudged.malformed("this one has 2")
            unjudged.foreign()
        assert [each.message for each in caplog.records] == ["checks_malformed", "checks_foreign"]
        clock[0] = LOGGED_EACH_S
        unjudged.malformed("this one has 0")
        unjudged.malformed("this one has 3")
    fields = vars(caplog.records[-1])["fields"]
    assert fields == {"reason": "this one has 0", "count": 1_000}
    name = "midstage_throttle_checks_total"
    assert registry.get_sample_value(name, {"verdict": "malformed"}) == 1_002
    assert registry.get_sample_value(name, {"verdict": "foreign"}) == 1_000
