"""``midstage up`` refuses what can't work before anything runs, in one sentence."""

import signal
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from midstage.local import session, up
from midstage.local.errors import PlatformError
from midstage.local.platform import Platform
from midstage.local.supervisor import Child, Supervisor

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROW = "2023-11-16 18:15:46.6805900,374,44\n"


def called(directory: Path, *options: str) -> Result:
    app = typer.Typer()
    up.register(app)
    return CliRunner().invoke(app, ["--exit", "--dir", str(directory), *options])


@pytest.mark.parametrize("report", ["missing/r.json", ".", "file/r.json"])
def test_a_report_that_could_not_be_written_is_refused_before_anything_runs(
    tmp_path: Path, report: str
) -> None:
    (tmp_path / "file").write_text("")
    done = called(tmp_path / "platform", "--report", str(tmp_path / report))
    assert done.exit_code == 1
    assert done.stderr.startswith("midstage up: the report can't be written to ")
    assert "--report" in done.stderr
    assert not (tmp_path / "platform").exists()


def test_looking_whether_a_report_can_be_written_leaves_nothing_and_takes_nothing(
    tmp_path: Path,
) -> None:
    old = tmp_path / "old.json"
    old.write_text("{}")
    for report in (old, tmp_path / "new.json"):
        done = called(tmp_path, "--trace", str(tmp_path / "none"), "--report", str(report))
        assert done.exit_code == 1
    assert [file.name for file in tmp_path.iterdir()] == ["old.json"]
    assert old.read_text() == "{}"


@pytest.mark.parametrize(
    "rows", [ROW * 30 + "nonsense\n", ROW + "x" * 200_000 + "\n", "a" * 200_000]
)
def test_a_trace_is_read_to_its_end_before_anything_runs(tmp_path: Path, rows: str) -> None:
    trace = tmp_path / "mine.csv"
    trace.write_text(HEAD + rows)
    done = called(tmp_path / "platform", "--trace", str(trace))
    assert done.exit_code == 1
    assert f"midstage up: {trace}, line " in done.stderr
    assert not (tmp_path / "platform").exists()


@pytest.mark.parametrize("speed", ["nan", "inf", "0", "-1", "1e9"])
def test_a_speed_that_is_none_is_a_wrong_command_line(tmp_path: Path, speed: str) -> None:
    done = called(tmp_path / "platform", "--speed", speed)
    assert done.exit_code == 2
    assert "--speed" in done.stderr
    assert not (tmp_path / "platform").exists()


@pytest.mark.parametrize("folder", ["file", "file/below", "one,two"])
def test_a_folder_that_can_not_hold_a_platform_is_named_with_the_remedy(
    tmp_path: Path, folder: str
) -> None:
    (tmp_path / "file").write_text("")
    done = called(tmp_path / folder, "--requests", "1")
    assert done.exit_code == 1
    assert f"midstage up: {tmp_path / folder} " in done.stderr
    assert "name another folder with --dir" in done.stderr
    assert len(done.stderr.splitlines()) == 1


class Impatient(Platform):
    """Its start is interrupted, and its orderly stop as well."""

    stopped_whole = False

    def _start(self) -> None:
        self._open.callback(self._stop)
        signal.raise_signal(signal.SIGINT)

    def _stop(self) -> None:
        for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(again)
        type(self).stopped_whole = True


def test_a_second_ctrl_c_while_a_start_is_undone_cuts_nothing_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "Platform", Impatient)
    before = {number: signal.getsignal(number) for number in session.ENDS}
    try:
        assert called(tmp_path).exit_code == 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert Impatient.stopped_whole


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_the_supervisor_ends_by_itself_whoever_stays_is_told(tmp_path: Path) -> None:
    def broken() -> None:
        raise SystemExit

    supervisor = Supervisor(logs=tmp_path, say=lambda _: None)
    supervisor.start(Child(name="envoy", command=["true"], before=broken))
    with pytest.raises(PlatformError, match="supervisor's thread has ended"):
        supervisor.await_over()
