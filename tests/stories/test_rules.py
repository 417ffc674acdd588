"""Rules on the whole platform: by the clock, by the past, and with an input that is lost."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from midstage.contracts.autoscaling import ExternalMetric, Identifier, Metric, MetricType, Target
from midstage.contracts.autoscaling import TargetType as By
from midstage.contracts.fact import Event
from midstage.contracts.forecast import Forecast
from midstage.contracts.peaks import PEAKS_OBSERVED, SLOTS_A_DAY, key_of
from midstage.contracts.policy import Policy, Targets
from midstage.contracts.scaling import EvaluationMade
from midstage.contracts.timed import Timed
from midstage.contracts.topics import PEAKS
from midstage.eventlog.codec import message
from midstage.local.platform import Platform
from midstage.testkit.waiting import within
from tests import patient
from tests.hpa.peaks import daily, slot_of, told
from tests.kafka import kafka_log

from .loop import READY_S, ask, await_settled, pods, put, spec
from .test_loop import decided

pytestmark = [pytest.mark.platform, pytest.mark.slow]

APP = "ruled"
TRIES = 3
NOTICE = timedelta(seconds=20)
MINUTE = timedelta(minutes=1)
NOBODY_SAYS = Metric(
    type=MetricType.EXTERNAL,
    external=ExternalMetric(
        metric=Identifier(name="orders"),
        target=Target(type=By.AVERAGE_VALUE, average_value="10"),
    ),
)


@pytest.fixture(autouse=True)
def gone(platform: Platform) -> Iterator[None]:
    """The application of a story is there for no other one."""
    yield
    removed(platform)


def removed(platform: Platform) -> None:
    patient.answered(lambda: ask(platform, "DELETE", f"/v1/apps/{APP}"))
    within(READY_S, lambda: not pods(platform, APP))


def reason(platform: Platform) -> str:
    """Why the newest evaluation has its count; empty while there is none."""
    answer = patient.get(f"{platform.addresses.hpa}/v1/apps/{APP}/evaluation")
    if not answer.is_success:
        return ""
    return msgspec.json.decode(answer.content, type=EvaluationMade).evaluation.reason


def test_a_window_by_the_clock_is_full_before_it_begins_and_exact(platform: Platform) -> None:
    """A machine so busy that replicas start late misses a window: then there is another one."""

    def full_before_it_begins() -> bool:
        removed(platform)
        begin = asked_for_a_window(platform)
        await_settled(platform, APP, replicas=3)
        return datetime.now(UTC) < begin

    assert any(full_before_it_begins() for _ in range(TRIES))
    assert any("opening is at least 3" in each.reason for each in decided(platform, APP))


def asked_for_a_window(platform: Platform) -> datetime:
    """A window of exactly three replicas that begins with one of the next minutes; its begin."""
    begin = (datetime.now(UTC) + NOTICE + MINUTE).replace(second=0, microsecond=0)
    end = begin + timedelta(hours=1)
    window = Timed(name="opening", floor=3, ceiling=3, begin=f"{begin:%H:%M}", end=f"{end:%H:%M}")
    policy = Policy(min=1, max=5, targets=Targets(concurrency=100), timed=(window,))
    put(platform, APP, spec(APP, replicas=1, scaling=policy))
    return begin


def test_nothing_shrinks_while_an_input_is_unknown_and_all_does_once_nobody_asks_for_it(
    platform: Platform,
) -> None:
    idle = Policy(min=1, max=5, targets=Targets(concurrency=100), stabilise_down_s=0)
    lost = msgspec.structs.replace(idle, metrics=(NOBODY_SAYS,))
    put(platform, APP, spec(APP, replicas=3, scaling=lost))
    await_settled(platform, APP, replicas=3)
    said = within(60, lambda: said if "not lowered while" in (said := reason(platform)) else "")
    assert "orders" in said
    assert len(pods(platform, APP)) == 3
    put(platform, APP, spec(APP, replicas=3, scaling=idle))
    await_settled(platform, APP, replicas=1)


def test_a_floor_of_the_past_stands_before_the_load(platform: Platform) -> None:
    """Each day of two weeks the load rose at about this time; today nobody has called yet."""
    end = slot_of(datetime.now(UTC))
    past = daily(14, end=end, peak=30.0, at=(end + 1) % SLOTS_A_DAY)
    log = kafka_log(platform.addresses.kafka)
    writer = log.writer()
    for number, fact in enumerate(told(past, end=end, app=APP)):
        event = Event(
            id=f"test/{number}",
            source="test",
            type=PEAKS_OBSERVED,
            time=datetime.now(UTC),
            data=fact,
        )
        key = key_of(APP, fact.measure, fact.day)
        writer.send(message(event, topic=PEAKS.name, key=key))
    assert writer.flush(60) == 0
    writer.close()
    policy = Policy(min=1, max=5, targets=Targets(concurrency=10), forecast=Forecast())
    put(platform, APP, spec(APP, replicas=1, scaling=policy))
    await_settled(platform, APP, replicas=3)
    assert any(
        "30 is expected by the day, 10 each" in each.reason for each in decided(platform, APP)
    )
