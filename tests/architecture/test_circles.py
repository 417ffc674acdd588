"""No module imports, by however many others, one that imports it."""

import tomllib
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

from .conftest import ROOT


@pytest.mark.slow
def test_imports_run_in_no_circle() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    graph = grimp.build_graph(*linter["root_packages"], cache_dir=None)
    imports = {each: graph.find_modules_directly_imported_by(each) for each in graph.modules}
    assert len(imports) > len(linter["root_packages"])
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as e:
        pytest.fail(" -> ".join(e.args[1][::-1]))
