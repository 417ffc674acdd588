"""``get decisions`` and ``hpa explain`` of a real hpa over a log in memory."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from midstage.contracts.policy import Policy, Rate, Targets
from midstage.eventlog.memory import MemoryLog
from midstage.hpa.stream.folding import Topics
from midstage.testkit.waiting import within
from tests.hpa.conftest import Others, Running, created, running

pytestmark = pytest.mark.slow
Midstage = Callable[..., CompletedProcess[str]]
POLICY = Policy(min=1, max=5, targets=Targets(concurrency=2, cpu=0.5), window_s=1, up=Rate(pods=9))


@pytest.fixture(scope="module")
def hpa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """It went from 2 to 4 of at most 5, and knows no CPU."""
    log = MemoryLog()
    created(log, Topics())
    others = Others(log=log, names=Topics())
    others.reach()
    others.specify("chat", POLICY, replicas=2)
    with running(log, Topics(), tmp_path_factory.mktemp("hpa")) as served:
        within(60, lambda: served.counts("chat") == [2])
        others.pods("chat", 2)

        def four_in_force() -> bool:
            others.load("chat", in_flight=8)  # again, for it is old after some seconds
            return bool(served.evaluation("chat")["evaluation"]["inputs"]["current"] == 4)

        within(60, four_in_force, every=0.5)
        assert served.counts("chat") == [2, 4]
        yield served


def known(hpa: Running) -> str:
    """When the count of 4 was evaluated first, while its load was new."""
    [_, second] = hpa.decisions("chat")
    decided = datetime.fromisoformat(second["at"])
    for tenths in range(1, 80):
        at = (decided + timedelta(seconds=tenths / 10)).isoformat()
        if hpa.evaluation("chat", at=at)["evaluation"]["inputs"]["current"] == 4:
            return at
    raise AssertionError("it was never evaluated while its load was new")


def wants(rules: list[dict[str, Any]]) -> list[tuple[object, object]]:
    return [(each["rule"], each["want"]) for each in rules]


def test_decisions_are_listed(midstage: Midstage, hpa: Running) -> None:
    done = midstage("get", "decisions", "--server", hpa.url, "--app", "chat", "--from", "-1h")
    assert done.returncode == 0, done.stderr
    title, first, second = done.stdout.splitlines()
    assert title.split() == ["AT", "APP", "FROM", "TO", "REASON"]
    assert first.split()[1:4] == ["chat", "0", "2"]
    assert second.split()[1:4] == ["chat", "2", "4"]
    assert second.endswith("concurrency: 8 in flight and pending together, 2 each")


def test_decisions_as_json_and_yaml_keep_all(midstage: Midstage, hpa: Running) -> None:
    as_json = midstage("get", "decisions", "--server", hpa.url, "-o", "json")
    as_yaml = midstage("get", "decisions", "--server", hpa.url, "-o", "yaml")
    listed = json.loads(as_json.stdout)["decisions"]
    assert [(each["from"], each["to"]) for each in listed] == [(0, 2), (2, 4)]
    assert [each["app"] for each in yaml.safe_load(as_yaml.stdout)["decisions"]] == ["chat"] * 2


def test_only_the_newest_and_only_those_of_a_time(midstage: Midstage, hpa: Running) -> None:
    newest = midstage("get", "decisions", "--server", hpa.url, "--limit", "1", "-o", "json")
    assert [each["to"] for each in json.loads(newest.stdout)["decisions"]] == [4]
    early = midstage("get", "decisions", "--server", hpa.url, "--to", "2026-01-01T00:00:00Z")
    assert (early.returncode, early.stdout, early.stderr) == (0, "", "nothing found\n")
    other = midstage("get", "decisions", "--server", hpa.url, "--app", "other")
    assert other.stdout == ""


def test_a_count_is_explained(midstage: Midstage, hpa: Running) -> None:
    done = midstage("hpa", "explain", "chat", "--server", hpa.url, "--at", known(hpa))
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert ": 4 replicas (unchanged)" in text.splitlines()[0]
    assert "because concurrency: 8 in flight and pending together, 2 each" in text
    for line in (
        "count in force 4",
        "bounds 1 to 5",
        "in flight and pending, mean of 1 s 8",
        "requests/s, mean of 1 s 0",
        "pods ready, starting 2, 0",
        "cores used by the ready ones unknown -",
        "earlier change 2 to 4",
        "concurrency 8 2 4 4 8 in flight and pending together, 2 each",
        "cpu - 0.5 - - no ready pod is measured",
        "largest 4 concurrency: 8 in flight and pending together, 2 each",
        "spec version 1, scale version 2",
        "midstage.load.v1 up to",
    ):
        assert any(" ".join(said.split()).startswith(line) for said in text.splitlines()), line


def test_an_explanation_as_json_and_yaml_is_the_whole_evaluation(
    midstage: Midstage, hpa: Running
) -> None:
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        done = midstage("hpa", "explain", "chat", "--server", hpa.url, "-o", form)
        found = read(done.stdout)
        assert found["app"] == "chat"
        assert {"inputs", "proposals", "stages", "offsets", "engine"} <= set(found["evaluation"])


def test_what_was_in_force_then_is_explained(midstage: Midstage, hpa: Running) -> None:
    [first, second] = hpa.decisions("chat")
    then = midstage("hpa", "explain", "chat", "--server", hpa.url, "--at", first["at"])
    assert "2 replicas (the first count)" in then.stdout
    then = midstage("hpa", "explain", "chat", "--server", hpa.url, "--at", second["at"])
    assert "4 replicas (was 2)" in then.stdout


def test_what_can_not_be_explained_says_why(midstage: Midstage, hpa: Running) -> None:
    nobody = midstage("hpa", "explain", "nobody", "--server", hpa.url)
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert nobody.stderr == "midstage: there is no evaluation of 'nobody'\n"
    before = midstage("hpa", "explain", "chat", "--server", hpa.url, "--at", "2026-01-01T00:00:00Z")
    assert "or before, as far as they are kept" in before.stderr
    wrong = midstage("hpa", "explain", "chat", "--server", hpa.url, "--at", "noon")
    assert "--at 'noon' is neither a time" in wrong.stderr


def test_the_api_says_what_each_app_asks_for(hpa: Running) -> None:
    [app] = hpa.http.get("/v1/apps").json()["apps"]
    assert (app["app"], app["replicas"], app["min"], app["max"]) == ("chat", 4, 1, 5)
    assert (app["spec_version"], app["scale_version"]) == (1, 2)

    def alike() -> bool:
        """Asked one after the other: an evaluation may come in between."""
        [app] = hpa.http.get("/v1/apps").json()["apps"]
        proposals = hpa.evaluation("chat")["evaluation"]["proposals"]
        return wants(app["rules"]) == wants(proposals) != []

    within(60, alike)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/decisions?limit=0", 422),
        ("/v1/decisions?from=yesterday", 422),
        ("/v1/decisions?from=2026-01-01T00:00:00", 422),
        ("/v1/apps/no%20app/evaluation", 422),
        ("/v1/apps/chat/evaluation?at=0001-01-01T00:00:00Z", 404),
        ("/v1/apps/chat/evaluation?at=9999-12-31T23:59:59Z", 200),
        ("/v1/nothing", 404),
    ],
)
def test_odd_questions_get_clear_answers(hpa: Running, path: str, status: int) -> None:
    answer = hpa.http.get(path)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]


def test_the_past_is_replayed(midstage: Midstage, hpa: Running) -> None:
    done = midstage("hpa", "replay", "--server", hpa.url, "--deep")
    assert done.returncode == 0, done.stderr
    first, stored, topics = done.stdout.splitlines()
    assert first.endswith(" evaluations, 2 changes of a count")
    assert stored.endswith(" to the byte")
    assert topics.endswith(" to the byte")
    none = midstage("hpa", "replay", "nobody", "--server", hpa.url, "--to", "-1h")
    assert none.stdout.splitlines() == [
        "0 evaluations, 0 changes of a count",
        "  from what they stored   0 of 0 to the byte",
    ]
