"""``midstage hpa override|lift|pause|resume`` on a real hpa over a log in memory."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from midstage.client import times
from midstage.contracts.errors import RefusedError
from midstage.contracts.policy import Policy, Targets
from midstage.eventlog.memory import MemoryLog
from midstage.hpa.stream.folding import Topics
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from tests.hpa.conftest import TOKEN, Others, Running, created, running

Midstage = Callable[..., CompletedProcess[str]]
Order = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def hpa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two applications of two replicas."""
    log = MemoryLog()
    created(log, Topics())
    others = Others(log=log, names=Topics())
    others.reach()
    for app in ("chat", "ocr"):
        others.specify(app, Policy(max=5, targets=Targets(concurrency=2)), replicas=2)
    with running(log, Topics(), tmp_path_factory.mktemp("hpa")) as served:
        within(60, lambda: served.counts("chat") == served.counts("ocr") == [2])
        yield served


@pytest.fixture
def order(midstage: Midstage, hpa: Running, tmp_path: Path) -> Order:
    """Runs ``midstage hpa`` with the token."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)

    def run(*arguments: str) -> CompletedProcess[str]:
        given = ("--server", hpa.url, "--token-file", str(file))
        return midstage("hpa", *arguments, *given, env={"USER": "anna"})

    return run


@pytest.mark.slow
def test_a_count_is_overridden_shown_explained_and_lifted(
    midstage: Midstage, order: Order, hpa: Running
) -> None:
    done = order("override", "chat", "--replicas", "4", "--until", "2h", "--why", "a fair")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "override of chat set, version 2\n"
    within(60, lambda: hpa.counts("chat") == [2, 4])
    listed = midstage("get", "decisions", "--server", hpa.url, "--app", "chat").stdout
    title, row = listed.partition("in force\n")[2].splitlines()
    assert title.split() == ["APP", "ORDER", "WHAT", "UNTIL", "BY", "WHY"]
    assert row.split()[:4] == ["chat", "override", "exactly", "4"]
    assert row.endswith("anna   a fair")
    within(60, lambda: hpa.evaluation("chat")["evaluation"]["inputs"]["current"] == 4)
    explained = midstage("hpa", "explain", "chat", "--server", hpa.url).stdout
    assert "at least 4, at most 4, by anna until " in explained
    lifted = order("lift", "chat")
    assert lifted.stdout.startswith("override of chat lifted, version ")
    again = order("lift", "chat")
    assert (again.returncode, again.stdout) == (1, "")
    assert "has no override in force" in again.stderr


@pytest.mark.slow
def test_scaling_is_paused_and_resumed(midstage: Midstage, order: Order, hpa: Running) -> None:
    assert order("pause", "ocr", "--down", "--why", "a test").returncode == 0
    told = hpa.http.get("/v1/apps/ocr/pause").json()
    assert (told["direction"], told["by"], told["why"]) == ("down", "anna", "a test")
    assert order("pause", "ocr", "--up", "--down").returncode == 0
    assert hpa.http.get("/v1/apps/ocr/pause").json()["direction"] == "both"
    assert order("resume", "ocr").stdout.startswith("scaling of ocr resumed, version ")
    assert (
        "in force" not in midstage("get", "decisions", "--server", hpa.url, "--app", "ocr").stdout
    )


@pytest.mark.slow
def test_a_dry_run_explains_and_orders_nothing(order: Order, hpa: Running) -> None:
    done = order("override", "ocr", "--max", "1", "--dry-run")
    assert "ocr at " in done.stdout.splitlines()[0]
    assert ": 1 replicas (was 2)" in done.stdout.splitlines()[0]
    assert "at least any, at most 1, by anna" in done.stdout
    assert hpa.http.get("/v1/apps/ocr/override").status_code == 404


@pytest.mark.slow
def test_what_can_not_be_ordered_says_why(order: Order) -> None:
    for given, said in (
        (("override", "ocr"), "give replicas, or min, max or both"),
        (("override", "nobody", "--replicas", "3"), "there is no application 'nobody'"),
        (("override", "ocr", "--max", "3", "--until", "90d"), "more than 30 days ahead"),
        (("pause", "ocr", "--until", "noon"), "--until 'noon' is neither a time"),
    ):
        done = order(*given)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr


def test_an_end_is_told_from_now_on() -> None:
    for text in ("2h", "+2h", "2026-01-01T14:00:00Z"):
        assert times.later("--until", text, now=NOON) == NOON + timedelta(hours=2)
    with pytest.raises(RefusedError, match="further ahead than there are dates"):
        times.later("--until", "999999999d", now=datetime.now(UTC))
