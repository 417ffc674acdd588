"""The control plane's binary is built once, from what is pinned, and by one process at a time."""

import threading
from pathlib import Path

import pytest

from midstage.local.errors import PlatformError
from midstage.local.kubernetes import building, golang
from midstage.local.kubernetes.golang import Go

GO_MOD = "module tiny\n\ngo 1.21\n\nreplace (\n\tk8s.io/kubernetes v1.2.3 => ./nowhere\n)\n"
MAIN = 'package main\n\nfunc main() { println("tiny") }\n'


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that is built in a second, and a cache of its own."""
    monkeypatch.setenv("MIDSTAGE_CACHE", str(tmp_path / "cache"))
    at = tmp_path / "sources"
    at.mkdir()
    for name, content in (("main.go", MAIN), ("go.mod", GO_MOD), ("go.sum", "")):
        (at / name).write_text(content)
    return at


def machine_go(says: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program called ``go`` before all others."""
    folder.mkdir()
    program = folder / "go"
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_other_sources_another_go_or_other_flags_are_another_binary(sources: Path) -> None:
    name = building.name_of(sources, "1.26.0")
    assert building.name_of(sources, "1.26.0") == name
    assert building.name_of(sources, "1.26.1") != name
    (sources / "go.sum").write_text("x")
    assert building.name_of(sources, "1.26.0") != name


def test_the_binary_says_the_version_that_is_pinned() -> None:
    [*_, linked] = building.flags(building.SOURCES)
    assert "gitVersion=v1." in linked
    assert "gitMajor=1" in linked


def test_sources_that_are_not_there_are_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="run midstage from its checkout"):
        building.binary(sources=tmp_path)


@pytest.mark.parametrize(
    ("older", "newer"), [("1.9", "1.10"), ("go1.26.0", "1.26.1"), ("what", "1.0")]
)
def test_versions_are_compared_by_their_numbers(older: str, newer: str) -> None:
    assert golang.numbers(older) < golang.numbers(newer)


def test_a_go_of_the_machine_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine_go("echo go version go1.99.1 linux/amd64", tmp_path / "bin", monkeypatch)
    go = golang.chosen("1.26.0")
    assert (go.version, go.of_machine) == ("1.99.1", True)


@pytest.mark.parametrize("says", ["echo go version go1.20.3 linux/amd64", "exit 1", "echo hello"])
def test_one_that_is_too_old_or_broken_is_not(
    says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_go(says, tmp_path / "bin", monkeypatch)
    go = golang.chosen("1.26.0")
    assert not go.of_machine
    assert golang.numbers(go.version) >= golang.numbers("1.26.0")


def test_the_go_of_the_wheel_leaves_its_caches_nowhere(tmp_path: Path) -> None:
    go = Go(version="1.26.0", of_machine=False, ready=lambda _: Path("go"))
    env = go.env(tmp_path)
    assert env["GOCACHE"].startswith(str(tmp_path))
    assert env["GOPATH"].startswith(str(tmp_path))


@pytest.mark.slow
def test_a_build_that_fails_says_why_and_leaves_nothing(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = "echo disk full; exit 1"
    says = f'[ "$1" = version ] && echo go version go1.99.1 linux/amd64 || {{ {fails}; }}'
    machine_go(says, tmp_path / "bin", monkeypatch)
    with pytest.raises(PlatformError, match="could not be built \\(disk full\\)"):
        building.binary(sources=sources)
    left = [each.name for each in (tmp_path / "cache").iterdir() if not each.name.endswith("lock")]
    assert left == []


def copying(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Go whose builds are a note that it was called, and end when the file is there."""
    build = f'for o in "$@"; do [ "$p" = -o ] && out=$o; p=$o; done; echo b >>{folder}/calls'
    ends = folder / "ends"
    says = (
        '[ "$1" = version ] && echo go version go1.99.1 linux/amd64 && exit 0\n'
        f"{build}; echo compiled/one; n=0\n"
        f"until [ -e {ends} ] || [ $n = 1200 ]; do n=$((n + 1)); sleep 0.05; done\n"
        'echo binary >"$out"'
    )
    machine_go(says, folder, monkeypatch)
    return ends


@pytest.mark.slow
def test_of_two_that_need_it_at_once_one_builds_and_the_other_waits(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = copying(tmp_path / "bin", monkeypatch)
    said: list[str] = []
    found: list[Path] = []

    def say(text: str) -> None:
        said.append(text)
        if "another process builds Kubernetes" in text:
            ends.touch()  # the build lasts until the other one waits for it

    def build() -> None:
        found.append(building.binary(sources=sources, say=say))

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert found[0].read_text() == "binary\n"
    assert (tmp_path / "bin" / "calls").read_text() == "b\n"
    assert any("another process builds Kubernetes" in line for line in said)
    building.binary(sources=sources, say=said.append)
    assert (tmp_path / "bin" / "calls").read_text() == "b\n"


@pytest.mark.slow
def test_a_binary_that_was_changed_is_refused(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying(tmp_path / "bin", monkeypatch).touch()
    building.binary(sources=sources).write_text("another\n")
    with pytest.raises(PlatformError, match="is not the pinned file"):
        building.binary(sources=sources)


@pytest.mark.kubernetes
@pytest.mark.slow
def test_a_real_go_builds_it(sources: Path) -> None:
    said: list[str] = []
    assert building.binary(sources=sources, say=said.append).stat().st_mode & 0o100
    assert any("building Kubernetes v1.2.3 with Go" in line for line in said)
