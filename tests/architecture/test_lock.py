"""Lock files name versions and hashes, and no address that anything is fetched from."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from .conftest import distributions


def test_no_lock_file_names_a_registry(root: Path) -> None:
    locks = [each for each in root.glob("**/*.lock") if not _is_built(each.relative_to(root))]
    assert locks
    named = {
        f"{file.relative_to(root)}: {line}"
        for file in locks
        for line in file.read_text().splitlines()
        if re.search(r"://|--(extra-)?index-url|--find-links", line)
    }
    assert not named


def test_every_declared_dependency_is_locked_at_a_version_it_allows(root: Path) -> None:
    locked = _locked(root / "requirements.lock")
    declared = [Requirement(text) for each in distributions() for text in each.dependencies]
    groups = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    declared += [Requirement(text) for group in groups.values() for text in group]
    missing = {
        str(each)
        for each in declared
        if not each.name.startswith("midstage-")
        and not any(
            each.specifier.contains(version, prereleases=True)
            for version in locked.get(canonicalize_name(each.name), ())
        )
    }
    assert not missing, "run make lock"


def test_every_locked_package_has_hashes(root: Path) -> None:
    text = (root / "requirements.lock").read_text()
    pins = re.findall(r"(?m)^\S+==\S+.*$", text)
    assert pins
    assert not [pin for pin in pins if not pin.endswith("\\")]


def _locked(file: Path) -> dict[str, set[Version]]:
    found: dict[str, set[Version]] = {}
    for name, version in re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s;]+)", file.read_text()):
        found.setdefault(canonicalize_name(name), set()).add(Version(version))
    return found


def _is_built(path: Path) -> bool:
    return path.parts[0] in {".venv", "build", ".midstage"}
