"""A process that takes over goes on where the log says: no jump, in panic neither, of a hundred."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from midstage.contracts.cluster import ClusterReached
from midstage.contracts.load import LoadObserved
from midstage.contracts.policy import Knative, Policy, Rate, Targets
from midstage.contracts.scaling import Evaluation, EvaluationMade, ScaleDecided
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.scaling import decide, evolve
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.views.world import Standing, World
from midstage.testkit.clock import NOON

pytestmark = pytest.mark.slow
SECOND = timedelta(seconds=1)
APPS = [f"app-{number:03}" for number in range(100)]
BY_TOTALS = Policy(
    min=1,
    max=50,
    targets=Targets(concurrency=2),
    window_s=5,
    stabilise_down_s=60,
    up=Rate(pods=4, percent=0),
)
BY_KNATIVE = Policy(min=1, max=50, knative=Knative(target=4, scale_down_delay_s=20))
Fact = LoadObserved | EvaluationMade | ClusterReached


class Log:
    """What stands in the topics, in memory: facts with the time they were written, decisions."""

    def __init__(self) -> None:
        self.facts: list[tuple[Fact, datetime]] = []
        self.scalers: dict[str, Scaler] = dict.fromkeys(APPS, Scaler())

    def decided(self, fact: ScaleDecided) -> None:
        self.scalers[fact.app] = evolve(self.scalers[fact.app], fact)


class Process:
    """Folds the log from where an evaluation may look back to, and evaluates."""

    def __init__(self, log: Log, began: datetime = NOON) -> None:
        self.log = log
        self.world = World()
        self._read = 0
        while self._read < len(log.facts) and log.facts[self._read][1] < began - 65 * 60 * SECOND:
            self._read += 1

    def evaluate(self, app: str, now: datetime) -> Evaluation:
        self._fold()
        standing = Standing(
            asked=Asked(policy=policy_of(app), initial=2),
            spec_version=1,
            scaler=self.log.scalers[app],
            scale_version=self.log.scalers[app].facts,
        )
        made = evaluate(self.world.inputs(app, standing, policy_of(app), now))
        for fact in decide(standing.scaler, made):
            self.log.decided(fact)
        self.log.facts.append((EvaluationMade(app=app, evaluation=made), now))
        return made

    def _fold(self) -> None:
        for fact, at in self.log.facts[self._read :]:
            match fact:
                case LoadObserved():
                    self.world.load(fact, at)
                case EvaluationMade():
                    self.world.evaluated(wired(fact), at)
                case ClusterReached():
                    self.world.cluster(fact)
        self._read = len(self.log.facts)


def test_whoever_evaluates_a_hundred_applications_the_counts_are_the_same() -> None:
    """One process all the time, or another one from each seventh second on."""
    alone = counts(begun=lambda _second: False)
    taken_over = counts(begun=lambda second: second % 7 == 0)
    assert taken_over == alone
    assert {len(set(each)) for each in alone.values()} != {1}  # they do change


def test_a_take_over_in_a_panic_panics_on() -> None:
    log = Log()
    [app] = [name for name in APPS[:2] if policy_of(name) is BY_KNATIVE]
    first = Process(log)
    for second in range(30):
        carried(log, second, {app: 4 if second < 20 else 40})
        made = first.evaluate(app, NOON + second * SECOND)
    assert made.memory is not None
    assert made.memory.panic_since is not None
    second_process = Process(log)
    carried(log, 30, {app: 0})
    on = second_process.evaluate(app, NOON + 30 * SECOND)
    assert on.memory is not None
    assert on.memory.most >= made.memory.most
    assert on.replicas >= made.replicas


def test_two_at_once_decide_as_one() -> None:
    """Both evaluate the same second: the second one finds the first one's count and stays."""
    log = Log()
    one, two = Process(log), Process(log)
    for second in range(40):
        carried(log, second, dict.fromkeys(APPS[:10], 3 + second % 9))
        for app in APPS[:10]:
            now = NOON + second * SECOND
            first = one.evaluate(app, now)
            assert two.evaluate(app, now).replicas in (first.replicas, log.scalers[app].count)
    # no count was decided twice: each change begins where the one before ended
    for app in APPS[:10]:
        changes = log.scalers[app].decisions
        assert all(before.after == after.before for before, after in pairwise(changes))


def counts(*, begun: Callable[[int], bool]) -> dict[str, list[int]]:
    """What was decided of each application, second by second."""
    log = Log()
    process = Process(log)
    found: dict[str, list[int]] = {app: [] for app in APPS}
    for second in range(45):
        carried(log, second, {app: in_flight(number, second) for number, app in enumerate(APPS)})
        if begun(second):
            process = Process(log)
        for app in APPS:
            found[app].append(process.evaluate(app, NOON + second * SECOND).replicas)
    return found


def in_flight(number: int, second: int) -> int:
    """A burst in the middle, at another time for each application."""
    return 3 + (40 if 10 + number % 10 <= second < 20 + number % 15 else 0)


def carried(log: Log, second: int, in_flight_of: dict[str, int]) -> None:
    at = NOON + second * SECOND
    log.facts.append((ClusterReached(cluster="c", name="c", epoch=1, observed_at=at), at))
    for app, number in in_flight_of.items():
        load = LoadObserved(
            app=app,
            second=at - SECOND,
            shard=0,
            shards=1,
            revision=second + 1,
            complete_until=at,
            outcomes={"ok": 1},
            in_flight=number,
            pending=0,
        )
        log.facts.append((load, at))


def policy_of(app: str) -> Policy:
    return BY_KNATIVE if int(app[-1]) % 2 else BY_TOTALS


def wired(fact: EvaluationMade) -> EvaluationMade:
    """As another process reads it."""
    return msgspec.json.decode(msgspec.json.encode(fact), type=EvaluationMade)
