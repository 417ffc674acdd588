"""A service imports at its start only what it uses there."""

import subprocess
import sys

import pytest

from .conftest import ROOT

SPARED = """
import importlib, sys
for service, spared in (
    ("stats", "httpx"),  # asks other shards, where there are some
    ("hpa", "midstage.hpa.simulate.command"),  # tries policies on a past, when it is asked to
    ("control", "kubernetes"),  # asks a Kubernetes, where the cluster is none of our own
):
    importlib.import_module(f"midstage.{service}.main")
    if spared in sys.modules:
        sys.exit(f"{service} imports {spared} at its start")
"""


@pytest.mark.slow
def test_a_service_imports_nothing_heavy_that_it_may_not_need() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPARED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
