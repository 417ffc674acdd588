"""The guide "your own cluster" works as it is typed."""

import os
import re
import subprocess
import uuid
from pathlib import Path

import pytest

from midstage.local import ports
from midstage.local.kubernetes import building
from tests.kubernetes import Kubernetes

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "your-own-cluster.md"
PORTS = ("8084", "8085")
BEFORE = "set -eu; shopt -s expand_aliases; trap 'kill $(jobs -p)' EXIT"


def typed() -> list[str]:
    """What a reader types, block by block."""
    return re.findall(r"(?s)```sh\n(.*?)```", GUIDE.read_text())


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
    said = subprocess.run(
        ["bash", "-c", f"{BEFORE}\n{own(chr(10).join(typed()))}"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "KAFKA": kafka, "KUBECONFIG": str(kubernetes.kubeconfig)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert said.returncode == 0, said.stdout[-6000:]
    assert re.search(r"hello-[\w-]+ .* Running", said.stdout)
    assert re.search(r"app hello-\w+ ready, 2 of 2", said.stdout)
    assert re.search(r"app web-\w+ adopted web-\w+, 2 of 2 ready", said.stdout)
    assert re.search(r"app web-\w+ ready, 2 of 2", said.stdout)
