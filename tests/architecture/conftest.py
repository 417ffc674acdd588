"""Where the distributions stand, for the tests of the layout."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One pyproject.toml with the folder of its namespace package."""

    name: str
    folder: Path
    dependencies: tuple[str, ...]
    extras: tuple[str, ...]

    @property
    def source(self) -> Path:
        return self.folder / "src"

    @property
    def modules(self) -> list[Path]:
        return sorted(self.source.rglob("*.py"))


def distributions() -> list[Distribution]:
    files = [*ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")]
    files.append(ROOT / "infra/local/pyproject.toml")
    return [_read(file) for file in sorted(files)]


def _read(file: Path) -> Distribution:
    project = tomllib.loads(file.read_text())["project"]
    extras = project.get("optional-dependencies", {})
    return Distribution(
        name=project["name"],
        folder=file.parent,
        dependencies=tuple(project["dependencies"]),
        extras=tuple(each for extra in extras.values() for each in extra),
    )


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(params=distributions(), ids=lambda each: each.name)
def distribution(request: pytest.FixtureRequest) -> Distribution:
    found: Distribution = request.param
    return found
