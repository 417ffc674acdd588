"""Applications on the command line: a real process, a real deploy over a log and a cluster."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from typer.testing import CliRunner

from midstage.client import specs
from midstage.client.explain import explained
from midstage.client.main import build
from midstage.cluster.memory import MemoryCluster
from midstage.contracts.cluster import Phase
from midstage.contracts.errors import MidstageError, RefusedError
from midstage.deploy.main import Topics
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.deploy.conftest import Neighbours, Running, a_cluster, create, running

pytestmark = pytest.mark.slow
Midstage = Callable[..., CompletedProcess[str]]

CHAT = """
name: chat
command: [serve, --model, a]
replicas: 2
routes: {prefix: /chat}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A deploy that serves, and the command line towards it."""

    deploy: Running
    midstage: Midstage
    token: Path

    def run(self, *arguments: str, stdin: str = "") -> CompletedProcess[str]:
        """In this process, because starting one takes most of a test's time."""
        done = CliRunner().invoke(build(), self.given(arguments), input=stdin)
        stderr = done.stderr
        if isinstance(done.exception, MidstageError):
            stderr += f"midstage: {done.exception}\n"
        elif done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return CompletedProcess(arguments, done.exit_code, done.stdout, stderr)

    def given(self, arguments: tuple[str, ...]) -> list[str]:
        at = ["--server", str(self.deploy.http.base_url)]
        asks = arguments[0] == "get"
        return [*arguments, *at] if asks else [*arguments, *at, "--token-file", str(self.token)]


def lives(cluster: MemoryCluster) -> None:
    """Pods get ready but for those of a program called broken, which crash."""
    for pod in cluster.pods():
        broken = "broken" in cluster_command(cluster, pod.workload)
        match pod.phase:
            case Phase.STARTING | Phase.BACKOFF if broken:
                cluster.start(pod.name)
                cluster.fail(pod.name, exit_code=3, message="exit code 3: no such model")
            case Phase.STARTING:
                cluster.ready(pod.name)
            case Phase.STOPPING:
                cluster.end(pod.name)
            case _:
                pass


def cluster_command(cluster: MemoryCluster, workload: str) -> tuple[str, ...]:
    found = [each for each in cluster.list().workloads if each.name == workload]
    return found[0].template.command if found else ()


@pytest.fixture(scope="module")
def platform(midstage: Midstage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    log, read, cluster = MemoryLog(), Topics(), a_cluster()
    create(log, read)
    directory = tmp_path_factory.mktemp("deploy")
    around = Neighbours(log=log, read=read, cluster=cluster, lives=lives)
    with around.at_work(), running(log, cluster, directory) as deploy:
        yield Platform(deploy=deploy, midstage=midstage, token=directory / "token")


def test_apply_creates_configures_and_leaves_as_it_is(platform: Platform) -> None:
    arguments = platform.given(("apply", "-f", "-", "--wait"))
    created = platform.midstage(*arguments, stdin=CHAT)
    assert created.returncode == 0, created.stderr
    assert created.stdout.splitlines()[0].startswith("app chat created, revision ")
    assert created.stdout.splitlines()[0].endswith("version 1, rollout first")
    assert created.stdout.splitlines()[1] == "app chat ready, 2 of 2"
    again = platform.run("apply", "-f", "-", stdin=CHAT)
    assert "app chat unchanged" in again.stdout
    updated = platform.run("apply", "-f", "-", "--wait", stdin=CHAT.replace("a]", "b]"))
    assert updated.returncode == 0, updated.stderr
    assert "app chat configured" in updated.stdout
    assert "rollout surge" in updated.stdout
    assert "rolling (surge)" in updated.stderr
    listed = platform.run("get", "apps").stdout.splitlines()
    assert listed[0].split()[:4] == ["APP", "STAGE", "READY", "WANTED"]
    assert [line.split()[:4] for line in listed if line.startswith("chat ")] == [
        ["chat", "ready", "2", "2"]
    ]
    said = json.loads(platform.run("get", "apps", "-o", "json").stdout)
    assert said["apps"][0]["spec"]["command"] == ["serve", "--model", "b"]
    revisions = platform.run("get", "revisions", "chat").stdout.splitlines()
    assert len(revisions) == 3


def test_a_rollout_that_fails_ends_with_one_and_the_reason(platform: Platform) -> None:
    good = CHAT.replace("chat", "frail")
    assert platform.run("apply", "-f", "-", "--wait", stdin=good).returncode == 0
    bad = platform.run("apply", "-f", "-", "--wait", stdin=good.replace("a]", "broken]"))
    assert bad.returncode == 1
    assert "the rollout failed: crash:" in bad.stderr
    assert "no such model" in bad.stderr
    undone = platform.run("undo", "frail", "--wait", "--why", "broken")
    assert undone.returncode == 0, undone.stderr
    assert undone.stdout.startswith("app frail undone, revision ")
    assert "app frail ready, 2 of 2" in undone.stdout


def test_diff_leaves_with_what_it_found(platform: Platform) -> None:
    differs = CHAT.replace("chat", "diffed")
    new = platform.run("diff", "-f", "-", stdin=differs)
    assert (new.returncode, new.stdout.splitlines()[0][:18]) == (1, "app diffed is new,")
    assert platform.run("apply", "-f", "-", "--wait", stdin=differs).returncode == 0
    same = platform.run("diff", "-f", "-", stdin=differs)
    assert (same.returncode, same.stdout) == (0, "app diffed unchanged\n")
    changed = platform.run("diff", "-f", "-", stdin=f"{differs}drain_s: 5\n")
    assert changed.returncode == 1
    assert changed.stdout.splitlines() == [
        "app diffed changes, same revision, rollout none",
        "  + drain_s: 5.0",
    ]
    wrong = platform.run("diff", "-f", "-", stdin=f"{differs}drainn_s: 5\n")
    assert wrong.returncode == 2
    assert "app diffed: drainn_s: unknown field; did you mean drain_s?" in wrong.stderr
    assert platform.run("diff", "-f", "no-such-file").returncode == 2


def test_one_refused_application_stops_no_other(platform: Platform) -> None:
    both = "apps:\n  one: {command: [a], replica: 2}\n  two: {command: [a]}\n"
    answered = platform.run("apply", "-f", "-", stdin=both)
    assert answered.returncode == 1
    assert "app one: replica: unknown field; did you mean replicas?" in answered.stderr
    assert answered.stdout.startswith("app two created")


def test_delete_app_stands_beside_delete_limit(platform: Platform) -> None:
    platform.run("apply", "-f", "-", stdin="{name: brief, command: [a]}")
    deleted = platform.run("delete", "app", "brief", "--why", "over")
    assert deleted.stdout.startswith("app brief deleted, version ")
    within(20, lambda: not [p for p in platform.deploy.cluster.pods() if p.app == "brief"])
    again = platform.run("delete", "app", "brief")
    assert (again.returncode, again.stderr) == (1, "midstage: there is no application 'brief'\n")
    told = CliRunner().invoke(build(), ["delete", "--help"]).stdout
    assert "limit " in told
    assert "app " in told


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{name: a, command: [x]}", ["a"]),
        ("name: a\n---\nname: b\n---\n", ["a", "b"]),
        ("apps: [{name: a}, {name: b}]", ["a", "b"]),
        ("apps: {a: {}, b: {}}", ["a", "b"]),
        ('{"name": "a"}', ["a"]),
    ],
)
def test_the_ways_to_write_applications(text: str, names: list[str], tmp_path: Path) -> None:
    file = tmp_path / "apps.yaml"
    file.write_text(text)
    assert list(specs.read([str(file)])) == names


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: a\nenv: &e {A: b}\nx: *e\n", "aliases are not taken; write it out (line 3"),
        ("name: a\nname: b\n", "the key 'name' stands twice (line 2, column 1)"),
        ("command: [x]\n", "name: is missing"),
        ("apps: [{command: [x]}]", "apps[0].name: is missing"),
        ("apps: 5", "apps: is a list of applications"),
        ("{apps: {a: {}}, b: 1}", "b: stands beside apps"),
        ("name: 5\n", "name: 5 is no name"),
        ("name: a\n---\nname: a\n", "application 'a' is there twice"),
        ("", "no application is in"),
        ("[1, 2]", "a document: is a mapping"),
        ("name: [", "apps.yaml: "),
        ("name: !!python/object:os.system a", "could not determine a constructor"),
        ("[" * 3000, "apps.yaml: "),
    ],
)
def test_what_is_no_application_is_refused(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "apps.yaml"
    file.write_text(text)
    with pytest.raises(RefusedError) as refused:
        specs.read([str(file)])
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_explain_tells_fields_and_bounds() -> None:
    assert "drain_s: number, at least 0, at most 3600 (default 30.0)" in explained("")
    assert "max: whole number, at least 1, at most 1000 (has to be there)" in explained("scaling")
    assert explained("scaling.targets.cpu") == "scaling.targets.cpu: number, above 0, at most 10"
    with pytest.raises(RefusedError, match="scaling has no field 'mx'; known are"):
        explained("scaling.mx")
