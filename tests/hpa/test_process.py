"""A whole hpa over a log in memory: load in, decisions out, and all of it made again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.contracts.policy import Policy, Rate, Targets
from midstage.contracts.scaling import EvaluationMade
from midstage.contracts.topics import Topic
from midstage.eventlog.log import BEGINNING, Message, Record
from midstage.eventlog.memory import MemoryLog
from midstage.hpa.stream.replay import replayed
from midstage.testkit.waiting import within
from tests.hpa.conftest import Others, Running, follows, now, running

pytestmark = pytest.mark.slow
POLICY = Policy(
    min=1,
    max=8,
    targets=Targets(concurrency=2),
    stabilise_down_s=0,
    window_s=1,
    up=Rate(pods=100),
    down=Rate(pods=100),
)


def test_load_rises_and_falls_and_the_count_follows(others: Others, tmp_path: Path) -> None:
    others.reach()
    others.specify("chat", POLICY, replicas=2)
    with running(others.log, others.names, tmp_path) as hpa:
        within(60, lambda: hpa.counts("chat") == [2])
        others.pods("chat", 2)
        follows(hpa, others, "chat", 8, [2, 4])
        others.pods("chat", 4)
        follows(hpa, others, "chat", 0, [2, 4, 1])
        [_, up, down] = hpa.decisions("chat")
        assert (up["from"], up["to"]) == (2, 4)
        assert up["reason"] == "concurrency: 8 in flight and pending together, 2 each"
        assert down["at"] > up["at"]
    all_again(others)


def test_a_restart_decides_nothing_by_itself(others: Others, tmp_path: Path) -> None:
    others.reach()
    others.specify("chat", POLICY, replicas=2)
    slow = msgspec.structs.replace(POLICY, stabilise_down_s=600)
    others.specify("slow", slow, replicas=2)
    with running(others.log, others.names, tmp_path) as hpa:
        within(60, lambda: (hpa.counts("chat"), hpa.counts("slow")) == ([2], [2]))
        for app in ("chat", "slow"):
            others.pods(app, 2)
            follows(hpa, others, app, 12, [2, 6])
        others.pods("slow", 6)
        evaluated_anew(hpa, "slow")
    with running(others.log, others.names, tmp_path) as hpa:
        assert (hpa.counts("chat"), hpa.counts("slow")) == ([2, 6], [2, 6])
        made = within(60, lambda: idle(others, hpa), every=0.1)
        assert hpa.counts("slow") == [2, 6]
        stages = {each["name"]: each for each in made["stages"]}
        assert stages["stabilise"]["reason"] == "6 by the largest want of the last 600 s"
    all_again(others)


def test_two_at_once_decide_each_change_once(others: Others, tmp_path: Path) -> None:
    others.reach()
    apps = [f"app-{number}" for number in range(5)]
    for app in apps:
        others.specify(app, POLICY, replicas=2)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with (
        running(others.log, others.names, one) as hpa,
        running(others.log, others.names, two) as other,
    ):
        within(60, lambda: all(each.counts(app) == [2] for app in apps for each in (hpa, other)))
        for expected in ([2, 4], [2, 4, 8], [2, 4, 8, 5]):
            for app in apps:
                others.pods(app, 8)
            within(60, lambda: loaded_all(others, apps, (hpa, other), expected), every=0.1)  # noqa: B023  waited for at once
            within(60, lambda: all(fresh(hpa, app) and fresh(other, app) for app in apps))
        assert [hpa.counts(app) for app in apps] == [[2, 4, 8, 5]] * 5
        assert [other.decisions(app) for app in apps] == [hpa.decisions(app) for app in apps]
    made = [each for each in evaluations(others) if each.decided]
    assert len(made) == 4 * 5
    all_again(others)


def test_when_load_stops_coming_the_count_is_held(others: Others, tmp_path: Path) -> None:
    others.reach()
    others.specify("chat", POLICY, replicas=4)
    long_ago = now() - timedelta(seconds=20)
    others.pods("chat", 4)
    others.load("chat", in_flight=0, second=long_ago)
    with running(others.log, others.names, tmp_path) as hpa:
        within(60, lambda: hpa.counts("chat") == [4])
        others.load("chat", in_flight=0, second=now() - timedelta(seconds=20))
        made = evaluated_anew(hpa, "chat")["evaluation"]
        assert hpa.counts("chat") == [4]
        assert made["proposals"][0]["reason"].startswith("what is in flight was seen")
        follows(hpa, others, "chat", 0, [4, 1])


def test_while_the_cluster_is_away_nothing_shrinks(others: Others, tmp_path: Path) -> None:
    others.reach()
    others.lose()
    others.specify("chat", POLICY, replicas=4)
    with running(others.log, others.names, tmp_path) as hpa:
        others.load("chat", in_flight=1)
        within(60, lambda: wants(hpa, "chat") == 4)
        assert hpa.counts("chat") == [4]
        loaded_alone(others, hpa, 14, [4, 7])
    all_again(others)


def test_a_late_revision_counts(others: Others, tmp_path: Path) -> None:
    requests = msgspec.structs.replace(POLICY, targets=Targets(requests_per_s=10))
    others.reach()
    others.specify("chat", requests, replicas=1)
    others.pods("chat", 1)
    with running(others.log, others.names, tmp_path) as hpa:
        second = now() + timedelta(seconds=40)  # of a clock that is ahead: it is new for longer
        others.load("chat", requests=10, second=second, revision=10)
        within(60, lambda: wants(hpa, "chat") == 1)
        others.load("chat", requests=50, second=second, revision=50)
        within(60, lambda: hpa.counts("chat") == [1, 5])
        others.load("chat", requests=10, second=second, revision=10)
        at = now()
        within(60, lambda: hpa.evaluated_after("chat", at))
        assert hpa.counts("chat") == [1, 5]
    all_again(others)


def test_without_a_policy_or_an_app_scaling_ends_once(others: Others, tmp_path: Path) -> None:
    others.reach()
    others.specify("chat", POLICY, replicas=2)
    others.specify("ocr", POLICY, replicas=3)
    with running(others.log, others.names, tmp_path) as hpa:
        within(60, lambda: hpa.counts("chat") == [2] and hpa.counts("ocr") == [3])
        others.specify("chat", None)
        others.remove("ocr")
        within(60, lambda: versions(others) == {"chat": 2, "ocr": 2})
        assert [each["app"] for each in hpa.http.get("/v1/apps").json()["apps"]] == []
        others.specify("chat", POLICY, replicas=5)
        within(60, lambda: hpa.counts("chat") == [2, 5])
        assert versions(others) == {"chat": 3, "ocr": 2}
    all_again(others)


def test_garbage_in_the_streams_harms_nobody(others: Others, tmp_path: Path) -> None:
    others.reach()
    others.specify("chat", POLICY, replicas=2)
    for topic in (others.names.load, others.names.cluster, others.names.evaluations):
        others.put(
            Message(topic=topic.name, key=b"chat", value=b"{not json"),
            Message(topic=topic.name, key=None, value=b"\xff" * 100),
        )
    absurd = LoadObserved(
        app="chat",
        second=datetime.max.replace(tzinfo=UTC),
        shard=0,
        shards=1,
        in_flight=10**9,
        pending=0,
    )
    others.say(others.names.load, LOAD_OBSERVED, "chat", absurd)
    with running(others.log, others.names, tmp_path) as hpa:
        within(60, lambda: hpa.counts("chat") == [2])
        follows(hpa, others, "chat", 16, [2, 8])
        up = 'midstage_hpa_decisions_total{direction="up"} 1.0'
        metrics = within(60, lambda: text if up in (text := hpa.http.get("/metrics").text) else "")
        assert "midstage_hpa_unreadable_total 6.0" in metrics
    all_again(others)


def test_a_broker_that_goes_away_and_comes_back(others: Others, tmp_path: Path) -> None:
    assert isinstance(others.log, MemoryLog)
    others.reach()
    others.specify("chat", POLICY, replicas=2)
    with running(others.log, others.names, tmp_path) as hpa:
        within(60, lambda: hpa.counts("chat") == [2])
        others.log.cut()
        within(60, lambda: hpa.http.get("/readyz").status_code == 503)
        others.log.mend()
        within(60, lambda: hpa.http.get("/readyz").status_code == 200)
        follows(hpa, others, "chat", 8, [2, 4])
    all_again(others)


def all_again(others: Others) -> None:
    """Every evaluation is made again, both ways, to the byte."""
    found = replayed(others.log, topics=others.names)
    assert found.total > 0
    assert found.equal, found
    assert found.unheld == 0


def idle(others: Others, hpa: Running) -> dict[str, Any]:
    """An evaluation of slow that wants nothing, once there is one."""
    others.reach()
    others.load("slow", in_flight=0)
    made: dict[str, Any] = hpa.evaluation("slow").get("evaluation", {})
    return made if made.get("want") == 0 else {}


def loaded_alone(others: Others, hpa: Running, in_flight: int, counts: list[int]) -> None:
    """As ``follows``, while the cluster is away."""

    def followed() -> bool:
        others.load("chat", in_flight=in_flight)
        return hpa.counts("chat") == counts

    within(60, followed, every=0.1)


def evaluated_anew(hpa: Running, app: str) -> dict[str, Any]:
    at = now()
    within(60, lambda: hpa.evaluated_after(app, at))
    return hpa.evaluation(app)


def loaded_all(
    others: Others, apps: list[str], both: tuple[Running, ...], expected: list[int]
) -> bool:
    """As ``follows``, of all at once."""
    others.reach()
    for app in apps:
        others.load(app, in_flight=2 * expected[-1])
    return all(hpa.counts(app) == expected for app in apps for hpa in both)


def fresh(hpa: Running, app: str) -> bool:
    """It was evaluated on the count that stands."""
    made = hpa.evaluation(app).get("evaluation")
    return made is not None and made["inputs"]["current"] == hpa.counts(app)[-1]


def wants(hpa: Running, app: str) -> int | None:
    found = hpa.evaluation(app)
    want: int | None = found["evaluation"]["want"] if found else None
    return want


def evaluations(others: Others) -> list[EvaluationMade]:
    decoder = msgspec.json.Decoder(EvaluationMade)
    return [
        decoder.decode(
            msgspec.json.decode(record.value or b"", type=dict[str, msgspec.Raw])["data"]
        )
        for record in records(others, others.names.evaluations)
    ]


def versions(others: Others) -> dict[str, int]:
    """How many records the scaling log has of each application."""
    keys = [(record.key or b"").decode() for record in records(others, others.names.scaling)]
    return {key: keys.count(key) for key in keys if not key.startswith("partition/")}


def records(others: Others, topic: Topic) -> list[Record]:
    places = others.log.partitions(topic.name)
    reader = others.log.reader(dict.fromkeys(places, BEGINNING))
    found: list[Record] = []
    while some := reader.poll(most=1000, timeout_s=0.01):
        found.extend(some)
    return found
