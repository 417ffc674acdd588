"""What a distribution did not declare can't be imported by it."""

import ast
import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from .conftest import ROOT, Distribution, distributions

OWNERS = {
    name: {each.lower().replace("_", "-") for each in owners}
    for name, owners in metadata.packages_distributions().items()
}
RUN_NOT_IMPORTED = {
    "uvloop",  # uvicorn loads both by name
    "httptools",
    "tzdata",  # where the machine has no zones of its own, zoneinfo reads it
    "midstage-client",  # midstage-local adds a command to it
    # and runs these as processes
    *(f"midstage-{each}" for each in ("throttle", "stats", "deploy", "control", "hpa", "data")),
}


def test_every_import_is_declared(distribution: Distribution) -> None:
    declared = {_name(each) for each in (*distribution.dependencies, *distribution.extras)}
    undeclared = {
        f"{file.relative_to(distribution.folder)}: {module}"
        for file in distribution.modules
        for module in _imported(file)
        if not _is_covered(module, declared, distribution.name)
    }
    assert not undeclared


def test_every_declaration_is_used(distribution: Distribution) -> None:
    used = {
        owner
        for file in distribution.modules
        for module in _imported(file)
        for owner in _owners(module)
    }
    needless = {_name(each) for each in distribution.dependencies} - used - RUN_NOT_IMPORTED
    assert not needless


ALONE = """
import importlib, json, os, sys
from importlib.machinery import PathFinder

told = json.load(sys.stdin)
packages, declared = told["packages"], set(told["files"])
# a package that several distributions share may have its __init__ from any of them
declared |= {os.path.dirname(file) + "/__init__.py" for file in told["files"]}
declared |= {os.path.dirname(os.path.dirname(file)) + "/__init__.py" for file in told["files"]}
sys.path[:] = [*sys.path[1:], *told["sources"], packages]


class OnlyDeclared:
    find_distributions = PathFinder.find_distributions

    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = PathFinder.find_spec(name, path, target)
        origin = spec.origin if spec else None
        foreign = origin and origin.startswith(packages) and origin not in declared
        return None if foreign else spec


sys.meta_path[sys.meta_path.index(PathFinder)] = OnlyDeclared
for module in told["modules"]:
    importlib.import_module(module)
try:
    importlib.import_module(told["foreign"])
except ModuleNotFoundError as refused:
    print(refused)
"""
"""Imports what it is told where only the files of declared distributions can be found."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("service", "foreign"),
    [
        *(("gateway", "duckdb"), ("throttle", "duckdb"), ("stats", "grpc"), ("client", "fastapi")),
        *(("deploy", "duckdb"), ("control", "duckdb"), ("hpa", "httpx"), ("data", "grpc")),
    ],
)
def test_a_service_alone_has_only_what_it_declared(service: str, foreign: str) -> None:
    by_name = {each.name: each for each in distributions()}
    own = _closure(by_name, f"midstage-{service}")
    told = {
        "packages": sysconfig.get_path("purelib"),
        "sources": [str(by_name[name].source) for name in own],
        "files": [str(file) for name in _installed(own) for file in _files(name)],
        "modules": _modules(by_name[f"midstage-{service}"]),
        "foreign": foreign,
    }
    # -S leaves out the editable installs of the others
    said = _run(sys.executable, "-S", "-c", ALONE, told=json.dumps(told))
    assert said.strip() == f"No module named {foreign!r}"


@pytest.mark.slow
def test_a_distribution_can_be_installed_alone(tmp_path: Path) -> None:
    by_name = {each.name: each for each in distributions()}
    python = tmp_path / "alone" / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    _run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "alone")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(re.findall(r"(?m)^\S+==\S+(?: ;.*?)?(?= \\)", _lock())))
    own = [by_name[name].folder for name in _closure(by_name, "midstage-client")]
    _run(uv, "pip", "install", "--quiet", "--python", python, "-c", constraints, *own)
    imports = "; ".join(f"import {each}" for each in _modules(by_name["midstage-client"]))
    _run(python, "-c", imports)


def _modules(distribution: Distribution) -> list[str]:
    files = [file.relative_to(distribution.source) for file in distribution.modules]
    return [".".join(each.with_suffix("").parts).removesuffix(".__init__") for each in files]


def _installed(names: Iterable[str]) -> set[str]:
    """These and all that they need here, as the installed packages declare it."""
    found: set[str] = set()
    left = {(name, "") for name in names}
    seen = set(left)
    while left:
        name, extra = left.pop()
        found.add(name)
        for each in map(Requirement, metadata.requires(name) or ()):
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                wanted = {(each.name, more) for more in ("", *each.extras)} - seen
                seen |= wanted
                left |= wanted
    return found


def _files(name: str) -> Iterator[Path]:
    yield from (Path(str(file.locate())) for file in metadata.files(name) or ())


def _lock() -> str:
    return (ROOT / "requirements.lock").read_text()


def _run(*command: object, told: str = "") -> str:
    done = subprocess.run(
        [str(each) for each in command],
        input=told,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _closure(by_name: dict[str, Distribution], name: str) -> set[str]:
    own = {each for each in map(_name, by_name[name].dependencies) if each.startswith("midstage-")}
    return {name}.union(*(_closure(by_name, each) for each in own))


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return found.group(0).lower().replace("_", "-")


def _imported(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    absolute = {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0
    }
    plain = {
        each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names
    }
    return {each for each in absolute | plain if each.split(".")[0] not in sys.stdlib_module_names}


def _owners(module: str) -> set[str]:
    first, *rest = module.split(".")
    if first == "midstage" and rest:
        return {f"midstage-{rest[0]}"}
    return OWNERS.get(first, {first})


def _is_covered(module: str, declared: set[str], own: str) -> bool:
    return module == "midstage" or bool(_owners(module) & (declared | {own}))
