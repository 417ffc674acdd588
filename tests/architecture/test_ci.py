"""What the whole CI says of tests that failed beside others: tried once more, alone, and named."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTEST = """#!/bin/bash
# `make` whose tests of stats fail as the files beside it say: at first, and when tried again
[[ $* == "$(cat away)" ]] && { echo >away; exit 1; }
[[ $* == *" tests/stats" ]] || exit 0
cache=$(sed -E 's/.*cache_dir=([^ ]+).*/\\1/' <<<"$*")/v/cache
if [[ $* == *--last-failed* ]]; then echo again; exit "$(cat again)"; fi
mkdir -p "$cache"
cat slow
{ echo '{'; sed 's/.*/  "&": true,/' first | sed '$s/,$//'; echo '}'; } >"$cache/lastfailed"
sed 's/^/FAILED /' first
[ -s first ] || exit 0
printf 'the last words of a library without an end of line'
echo "make: *** [Makefile:25: test] Error $(cat code)"
exit 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    code: int
    words: list[str]

    @property
    def unsteady(self) -> list[str]:
        return [line for line in self.words if line.startswith("UNSTEADY")]


def run(home: Path, *failing: str, again: int, code: int = 1, away: str = "") -> Run:
    """The real script where jobs are the file above: what fails at first, and once more.

    The network is ``away`` when make is asked for that, the first time.
    """
    (home / ".ci").mkdir()
    (home / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    for command in ("bin/make", ".venv/bin/python"):
        path = home / command
        path.parent.mkdir(parents=True)
        path.write_text(PYTEST)
        path.chmod(0o755)
    (home / "first").write_text("".join(f"{name}\n" for name in failing))
    (home / "again").write_text(str(again))
    (home / "code").write_text(str(code))
    (home / "away").write_text(f"{away or 'nothing'}\n")
    (home / "slow").write_text("".join(f"{n}.5s call tests/stats::{n}\n" for n in range(9_999)))
    done = subprocess.run(
        ["bash", ".ci/run"],
        cwd=home,
        env={"PATH": f"{home}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(code=done.returncode, words=done.stdout.splitlines())


def test_without_a_failure_nothing_is_tried_again(tmp_path: Path) -> None:
    done = run(tmp_path, again=0)
    assert (done.code, done.unsteady, "again" in done.words) == (0, [], False)


@pytest.mark.parametrize("asked", ["setup", "kubernetes", "check"])
def test_a_network_that_fails_for_a_moment_is_asked_once_more(tmp_path: Path, asked: str) -> None:
    done = run(tmp_path, again=0, away=asked)
    assert done.code == (1 if asked == "check" else 0)


def test_of_many_slow_tests_the_slowest_are_told(tmp_path: Path) -> None:
    words = run(tmp_path, again=0).words
    told = words[words.index("The slowest tests:") + 1 :]
    assert told[:40] == [f"{n}.5s call tests/stats::{n}" for n in range(9_998, 9_958, -1)]
    assert told[40] == ""


def test_who_passes_alone_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "tests/stats/test_a.py::test_a[x - y]", "tests/b.py::b", again=0)
    assert done.code == 0
    assert done.unsteady == [
        "UNSTEADY tests/stats/test_a.py::test_a[x - y]",
        "UNSTEADY tests/b.py::b",
    ]
    assert "FAILED tests/b.py::b" in done.words


def test_who_fails_again_fails_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, "tests/b.py::b", again=1)
    assert (done.code, done.unsteady, "again" in done.words) == (1, [], True)


@pytest.mark.parametrize(
    ("failing", "code"), [(["a", "b", "c", "d"], 1), (["a"], 2), (["a"], 3), (["a"], 139)]
)
def test_more_than_three_or_a_run_cut_short_is_no_accident(
    tmp_path: Path, failing: list[str], code: int
) -> None:
    done = run(tmp_path, *failing, again=0, code=code)
    assert (done.code, done.unsteady, "again" in done.words) == (1, [], False)
