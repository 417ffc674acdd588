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
from tests.specs.archives import FILES, tgz, zipped

pytestmark = pytest.mark.slow
Midstage = Callable[..., CompletedProcess[str]]

CHAT = """
name: chat
command: [serve, --model, a]
replicas: 2
routes: {prefix: /chat}
"""
WITH_SCRIPT = b"""
apiVersion: midstage.dev/v1
kind: Application
metadata: {name: b1}
spec:
  command: [serve]
  checks: [{name: warm, script_file: ../w.sh}]
"""
B2 = b'{"name": "b2", "command": ["serve"]}'


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
        asks = arguments[0] == "get" or arguments[1] in {"history", "status"}
        return [*arguments, *at] if asks else [*arguments, *at, "--token-file", str(self.token)]


def lives(cluster: MemoryCluster) -> None:
    """Pods get ready but for those of a program called broken, which crash, or slow."""
    for pod in cluster.pods():
        command = cluster_command(cluster, pod.workload)
        broken, slow = "broken" in command, "slow" in command
        match pod.phase:
            case Phase.STARTING if slow:
                pass
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
    revisions = platform.run("rollout", "history", "chat").stdout.splitlines()
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
    within(60, lambda: not [p for p in platform.deploy.cluster.pods() if p.app == "brief"])
    again = platform.run("delete", "app", "brief")
    assert (again.returncode, again.stderr) == (1, "midstage: there is no application 'brief'\n")
    told = CliRunner().invoke(build(), ["delete", "--help"]).stdout
    assert "limit " in told
    assert "app " in told


def test_files_folders_and_bundles_are_read_together(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("name: one\n---\nname: two\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "three.json").write_text('{"name": "three"}')
    (tmp_path / "all.tgz").write_bytes(tgz(FILES))
    given = [str(tmp_path / name) for name in ("one.yaml", "more", "all.tgz")]
    found = specs.read(given)
    assert list(found.apps) == ["one", "two", "three"]
    assert [each.name for each in found.all()] == ["one", "two", "three", "chat", "ocr"]
    (tmp_path / "again.yaml").write_text("\nname: chat\n")
    with pytest.raises(RefusedError) as refused:
        specs.read([*given, str(tmp_path / "again.yaml")])
    assert "application 'chat' is there twice: " in str(refused.value)
    assert "again.yaml, line 2, and apps/chat.yaml, line " in str(refused.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no application is in"),
        (b"name: a\xff", "apps.yaml: it is not UTF-8 text: byte 7 is 0xff"),
        (b"#" * 1_100_000, "apps.yaml is larger than 1048576 bytes"),
        (b"\x1f\x8b nothing", "apps.yaml: the archive is broken"),
        (b"name: a\nchecks: [{script_file: ../b}]", "checks[0].script_file: '../b' leads out"),
    ],
)
def test_what_is_no_application_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    file = tmp_path / "apps.yaml"
    file.write_bytes(content)
    with pytest.raises(RefusedError) as refused:
        specs.read([str(file)])
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_bundle_is_applied_and_compared_as_a_whole(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "all.zip"
    file.write_bytes(zipped({"apps/b1.yaml": WITH_SCRIPT, "w.sh": b"true", "b2.json": B2}))
    new = platform.run("diff", "-f", str(file))
    assert (new.returncode, new.stdout.count(" is new,")) == (1, 2)
    applied = platform.run("apply", "-f", str(file), "--wait")
    assert applied.returncode == 0, applied.stderr
    assert [line.split(",")[0] for line in applied.stdout.splitlines()] == [
        "app b1 created", "app b2 created", "app b1 ready", "app b2 ready",
    ]  # fmt: skip
    assert platform.run("diff", "-f", str(file)).returncode == 0
    told = platform.deploy.http.get("/v1/apps/b1").json()
    assert told["spec"]["checks"] == [{"name": "warm", "script": "true"}]
    assert "app b1 unchanged" in platform.run("apply", "-f", str(file)).stdout


def test_of_a_bundle_with_a_fault_nothing_is_applied(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "all.tgz"
    file.write_bytes(tgz({"a.yaml": b"name: n1\ncommand: [a]", "b.yaml": b"name: n2\nargs: [a]"}))
    answered = platform.run("apply", "-f", str(file))
    assert answered.returncode == 1
    assert (
        "all.tgz: nothing of it was applied: app n2: command: give exactly one" in answered.stderr
    )
    assert "(b.yaml, line 1)" in answered.stderr
    assert platform.deploy.http.get("/v1/apps/n1").status_code == 404


def test_a_folder_is_applied_and_what_is_refused_is_told_with_its_line(
    platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / "good.yaml").write_text("name: f1\ncommand: [a]\n")
    (tmp_path / "bad.yaml").write_text("name: f2\ncommand: [a]\ndrainn_s: 5\n")
    answered = platform.run("apply", "-f", str(tmp_path))
    assert answered.returncode == 1
    assert answered.stdout.startswith("app f1 created")
    assert "app f2: drainn_s: unknown field; did you mean drain_s? (" in answered.stderr
    assert "bad.yaml, line 3)" in answered.stderr


def test_explain_tells_fields_and_bounds() -> None:
    assert "drain_s: number, at least 0, at most 3600 (default 30.0)" in explained("")
    assert "max: whole number, at least 1, at most 1000 (has to be there)" in explained("scaling")
    cpu = explained("spec.scaling.targets.cpu").splitlines()
    assert cpu[0] == "scaling.targets.cpu: number, above 0, at most 10"
    assert cpu[1] == "the share of its requested cores that it uses, in whole percent, 0.6 is 60 %"
    assert explained("checks[0].timeout_s").startswith("checks.timeout_s: number, at least 1")
    assert "needs: list, 8 at most, of big cores or spot" in explained("")
    with pytest.raises(RefusedError, match="scaling has no field 'mx'; known are"):
        explained("scaling.mx")


def test_what_nobody_else_made_is_not_adopted(platform: Platform) -> None:
    refused = platform.run("adopt", "chat", "--workload", "web")
    assert refused.returncode != 0
    assert "there is no workload web" in refused.stderr
