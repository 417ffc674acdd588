"""The guide "your own cluster" works as it is typed."""

import os
import re
import uuid
from pathlib import Path

import pytest

from midstage.local import ports
from midstage.local.kubernetes import building
from tests.guides import ROOT, said, typed
from tests.kubernetes import Kubernetes

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]

PORTS = ("8084", "8085")
BEFORE = "set -eu; shopt -s expand_aliases; trap 'kill $(jobs -p)' EXIT"


def own(script: str) -> str:
    """The same on ports that are free, with names that no other test has."""
    for known, port in zip(PORTS, ports.found(len(PORTS)), strict=True):
        script = re.sub(rf"\b{known}\b", str(port), script)
    mark = uuid.uuid4().hex[:6]
    script = re.sub(r"\b(mine|hello|web)\b", rf"\1-{mark}", script)
    # pods are processes here: they have a command, and an image that nobody pulls
    script = re.sub(r"  image: .*\n  args:", "  command:", script)
    return re.sub(r"(image: .*\n +)args:", r"\1command:", script)


def test_the_guide_works_as_it_is_typed(kafka: str, kubernetes: Kubernetes, tmp_path: Path) -> None:
    for name in (".venv", "infra"):
        (tmp_path / name).symlink_to(ROOT / name)
    kubectl = tmp_path / "bin" / "kubectl"  # what its reader has
    kubectl.parent.mkdir()
    kubectl.write_text(f'#!/bin/sh\nexec "{building.binary()}" kubectl "$@"\n')
    kubectl.chmod(0o755)
    path = f"{kubectl.parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "KAFKA": kafka, "KUBECONFIG": str(kubernetes.kubeconfig)}
    told = said(f"{BEFORE}\n{own(typed('your-own-cluster'))}", at=tmp_path, env=env)
    assert re.search(r"hello-[\w-]+ .* Running", told)
    assert re.search(r"app hello-\w+ ready, 2 of 2", told)
    assert re.search(r"Stage: +ready", told)
    assert re.search(r"app web-\w+ adopted web-\w+, 2 of 2 ready", told)
    assert re.search(r"app web-\w+ ready, 2 of 2", told)
