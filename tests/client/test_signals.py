"""``send signal`` and ``get signals`` against a real control over a log in memory."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.control.conftest import Pair, pair_on, running

pytestmark = pytest.mark.slow
Midstage = Callable[..., CompletedProcess[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    server: tuple[str, str]
    token: tuple[str, str]
    pair: Pair


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A control that knows the application chat."""
    directory: Path = tmp_path_factory.mktemp("control")
    pair = pair_on(MemoryLog())
    pair.specify("chat")
    with running(pair, [], directory) as http:
        url = str(http.base_url).rstrip("/")
        token = str(directory / "token")
        yield Served(server=("--server", url), token=("--token-file", token), pair=pair)


def test_a_signal_is_sent_and_shown(midstage: Midstage, served: Served) -> None:
    to = (*served.server, *served.token)
    sent = midstage("send", "signal", "chat", "jobs", "12.5", "--arrived-per-s", "3", *to)
    assert (sent.returncode, sent.stdout) == (0, "chat jobs is 12.5\n"), sent.stderr
    [fact] = served.pair.signalled()
    assert (fact.value, fact.arrived_per_s, fact.source) == (12.5, 3, "api/cli")
    pods = ("--kind", "pods", "--pod", "chat-0")
    assert midstage("send", "signal", "chat", "sessions", "4", *pods, *to).returncode == 0

    def both_shown() -> list[dict[str, object]]:
        told = midstage("get", "signals", *served.server, "-o", "json")
        found: list[dict[str, object]] = json.loads(told.stdout)["signals"]
        return found if len(found) == 2 else []

    assert [each["by_pod"] for each in within(60, both_shown)] == [{"chat-0": 4}, {}]
    table = midstage("get", "signals", *served.server, "--app", "chat")
    assert table.stdout.splitlines()[0].split()[:3] == ["APP", "KIND", "NAME"]
    assert "12.5" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("chat", "jobs", "nan"), "nan is no value"),
        (("chat", "jobs", "--", "-1"), "signals.0.value"),
        (("nobody", "jobs", "1"), "there is no application 'nobody'"),
    ],
)
def test_what_can_not_be_is_refused(
    midstage: Midstage, served: Served, arguments: tuple[str, ...], reason: str
) -> None:
    done = midstage("send", "signal", *served.server, *served.token, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr
