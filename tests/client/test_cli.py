"""The command line as people use it: a real process, a real HTTP server, exit codes."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from midstage.client import VERSION
from tests.client.services import LIMITS, Services

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
Midstage = Callable[..., CompletedProcess[str]]


def test_the_version_is_the_distributions(midstage: Midstage) -> None:
    declared = tomllib.loads((ROOT / "libs/client/pyproject.toml").read_text())["project"]
    assert declared["version"] == VERSION
    assert declared["scripts"] == {"midstage": "midstage.client.main:main"}
    ended = midstage("--version")
    assert (ended.returncode, ended.stdout) == (0, f"midstage {VERSION}\n")


@pytest.mark.parametrize("command", [(), ("get",), ("rollout",)])
def test_help_uses_a_terminals_width(midstage: Midstage, command: tuple[str, ...]) -> None:
    wide = midstage(*command, "--help", env={"COLUMNS": "200"}).stdout.splitlines()
    narrow = midstage(*command, "--help", env={"COLUMNS": "80"}).stdout.splitlines()
    assert 80 < max(map(len, wide)) <= 120
    assert max(map(len, narrow)) <= 80


def test_availability_is_shown_with_its_budget(midstage: Midstage, services: Services) -> None:
    ended = midstage("get", "availability", "--by", "app", "--dir", str(services.directory))
    assert (ended.returncode, ended.stderr) == (0, "")
    titles, row = (re.split("   +", line) for line in ended.stdout.splitlines())
    shown = dict(zip(titles, row, strict=True))
    assert (shown["APP"], shown["AVAILABILITY"], shown["EXHAUSTED"]) == ("chat", "0.75", "yes")
    assert services.calls[0].query == {"by": "app"}


def test_that_there_is_nothing_is_no_data(midstage: Midstage, services: Services) -> None:
    ended = midstage("get", "usage", "--customer", "nobody", "--dir", str(services.directory))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "nothing found\n")


def test_sources_show_their_holes(midstage: Midstage, services: Services) -> None:
    token = ("--token-file", str(services.directory / "token"))
    ended = midstage("get", "sources", "--server", services.url + "/", *token)
    assert ended.stdout.splitlines() == [
        "SOURCE           HIGHEST   ROWS   HOLES   CLOSED   TORN",
        "edges/edge-1/a         9      8   4       yes         0",
    ]


@pytest.mark.parametrize("what", ["sources", "availability"])
def test_what_needs_the_token_is_refused_without_it(
    midstage: Midstage, services: Services, what: str
) -> None:
    ended = midstage("get", what, "--server", services.url)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "it needs the token" in ended.stderr


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_all_of_it(
    midstage: Midstage, services: Services, output: str, read: object
) -> None:
    ended = midstage("get", "limits", "-o", output, "--dir", str(services.directory))
    assert callable(read)
    assert read(ended.stdout) == LIMITS


@pytest.mark.parametrize(("status", "said"), [(404, "midstage: the service's own sentence\n")])
def test_a_refusal_is_the_services_own_sentence(
    midstage: Midstage, services: Services, status: int, said: str
) -> None:
    services.problems["/v1/usage"] = status
    ended = midstage("get", "usage", "--dir", str(services.directory))
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", said)


def test_a_service_that_can_not_now_is_named(midstage: Midstage, services: Services) -> None:
    services.problems["/v1/limits"] = 503
    ended = midstage("get", "limits", "--server", services.url)
    assert ended.returncode == 1
    assert f"{services.url} can't do that now: the service's own sentence" in ended.stderr


@pytest.mark.parametrize("command", [["get", "usage"], ["get", "sources"], ["send", "log", "-"]])
def test_where_nothing_runs_the_remedy_is_said(
    midstage: Midstage, tmp_path: Path, command: list[str]
) -> None:
    ended = midstage(*command, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "midstage: no platform runs in .midstage; "
        "start one with make up, or name its directory with --dir\n"
    )


def test_what_a_stopped_platform_left_behind_is_not_taken_for_one(
    midstage: Midstage, services: Services
) -> None:
    file = services.directory / "platform.json"
    file.write_text(file.read_text().replace(services.url, "http://127.0.0.1:9"))
    for command in (["get", "usage"], ["send", "log", "-"]):
        ended = midstage(*command, "--dir", str(services.directory))
        assert (ended.returncode, ended.stdout) == (1, "")
        assert f"no platform runs in {services.directory}" in ended.stderr


def test_a_file_that_is_not_there_is_named(midstage: Midstage, services: Services) -> None:
    kafka = services.url.removeprefix("http://")
    ended = midstage("send", "log", "no-such-file", "--kafka", kafka)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "midstage: no-such-file can't be read: No such file or directory\n"


@pytest.mark.parametrize(
    "wrong",
    [
        ["get"],
        ["get", "users"],
        ["get", "usage", "-o", "xml"],
        ["set", "limit", "a", "--amount", "many"],
        ["send"],
        ["fly"],
    ],
)
def test_a_wrong_command_line_is_exit_2(midstage: Midstage, wrong: list[str]) -> None:
    ended = midstage(*wrong)
    assert ended.returncode == 2
    assert "Usage: midstage" in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["get", "usage", "--from", "noon"], "--from 'noon' is neither a time like"),
        (["get", "usage", "--server", "localhost:1"], "is not a URL like http://"),
        (["set", "limit", "a", "--amount", "1", "--per", "soon"], "--per 'soon' is no time like"),
        (
            ["set", "limit", "a", "--amount", "1", "--per", "1m", "--on-failure", "x/1m"],
            "--on-failure 'x/1m' is none of open, closed",
        ),
        (["delete", "limit", "a", "--server", "http://127.0.0.1:9"], "--token-file"),
        (["send", "log", "-", "--kafka", "127.0.0.1:9"], "no Kafka answers at 127.0.0.1:9"),
        (["send", "log", "-", "--kafka", "localhost"], "'localhost' is not host:port"),
    ],
)
def test_what_can_not_be_is_said_in_one_sentence(
    midstage: Midstage, arguments: list[str], said: str
) -> None:
    ended = midstage(*arguments)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_token_open_to_others_is_not_used(midstage: Midstage, services: Services) -> None:
    (services.directory / "token").chmod(0o644)
    ended = midstage("delete", "limit", "a", "--dir", str(services.directory))
    assert ended.returncode == 1
    assert "chmod 600" in ended.stderr
    assert services.calls == []


def plugin(directory: Path, name: str, code: str) -> None:
    """A distribution in ``directory`` that adds a command by its entry point."""
    info = directory / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[midstage.commands]\n{name} = {name}:register\n")
    (directory / f"{name}.py").write_text(code)


def test_another_distribution_adds_its_commands(midstage: Midstage, tmp_path: Path) -> None:
    plugin(
        tmp_path,
        "flying",
        "def register(app):\n"
        "    @app.command('fly')\n"
        "    def fly(height: int):\n"
        "        print('at', height)\n",
    )
    ended = midstage("fly", "7", env={"PYTHONPATH": str(tmp_path)})
    assert (ended.returncode, ended.stdout) == (0, "at 7\n")


def test_a_command_that_can_not_be_loaded_does_not_take_the_others_away(
    midstage: Midstage, tmp_path: Path
) -> None:
    plugin(tmp_path, "broken", "import no_such_module\n")
    ended = midstage("--version", env={"PYTHONPATH": str(tmp_path)})
    assert (ended.returncode, ended.stdout) == (0, f"midstage {VERSION}\n")
    assert "the commands of broken:register are missing" in ended.stderr
