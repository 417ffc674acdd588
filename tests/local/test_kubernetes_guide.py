"""The guide "your own cluster" works as it is typed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from midstage.local import ports
from midstage.local.kafka import running_kafka
from tests.kubernetes import Kubernetes

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "your-own-cluster.md"
PORTS = ("8084", "8085")


def typed() -> list[str]:
    """What a reader types, block by block."""
    return re.findall(r"(?s)```sh\n(.*?)```", GUIDE.read_text())


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="its reader has kubectl")
def test_the_guide_works_as_it_is_typed(kubernetes: Kubernetes, tmp_path: Path) -> None:
    script = "\n".join(typed())
    for known, port in zip(PORTS, ports.found(len(PORTS)), strict=True):
        script = re.sub(rf"\b{known}\b", str(port), script)
    script = re.sub(r"  image: .*\n  args:", "  command:", script)  # pods are processes here
    for name in (".venv", "infra"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "kafka").mkdir()
    with running_kafka(tmp_path / "kafka") as kafka:
        said = subprocess.run(
            [
                "bash",
                "-c",
                f"set -eu; shopt -s expand_aliases; trap 'kill $(jobs -p)' EXIT\n{script}",
            ],
            cwd=tmp_path,
            env={**os.environ, "KAFKA": kafka, "KUBECONFIG": str(kubernetes.kubeconfig)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
    assert said.returncode == 0, said.stdout[-6000:]
    assert re.search(r"hello-\w+", said.stdout)
    assert "nothing differs" in said.stdout.lower()
