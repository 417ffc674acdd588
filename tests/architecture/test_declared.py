"""What a distribution did not declare can't be imported by it."""

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from .conftest import ROOT, Distribution, distributions

OWNERS = {
    name: {each.lower().replace("_", "-") for each in owners}
    for name, owners in packages_distributions().items()
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("service", "foreign"),
    [
        *(("gateway", "duckdb"), ("throttle", "duckdb"), ("stats", "grpc"), ("client", "fastapi")),
        *(("deploy", "duckdb"), ("control", "duckdb"), ("hpa", "httpx"), ("data", "grpc")),
    ],
)
def test_a_service_alone_has_only_what_it_declared(
    tmp_path: Path, service: str, foreign: str
) -> None:
    by_name = {each.name: each for each in distributions()}
    wanted = _closure(by_name, f"midstage-{service}")
    python = tmp_path / "alone" / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    _run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "alone")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(re.findall(r"(?m)^\S+==\S+(?: ;.*?)?(?= \\)", _lock())))
    _run(
        uv, "pip", "install", "--quiet", "--python", python, "-c", constraints,
        *(by_name[name].folder for name in wanted), "hatchling", "editables",
    )  # fmt: skip
    modules = [
        ".".join(file.relative_to(by_name[f"midstage-{service}"].source).with_suffix("").parts)
        for file in by_name[f"midstage-{service}"].modules
    ]
    imports = "; ".join(f"import {each.removesuffix('.__init__')}" for each in modules)
    _run(python, "-c", imports)
    refused = subprocess.run(
        [python, "-c", f"import {foreign}"], capture_output=True, text=True, check=False
    )
    assert "ModuleNotFoundError" in refused.stderr


def _lock() -> str:
    return (ROOT / "requirements.lock").read_text()


def _run(*command: object) -> None:
    done = subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


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
