"""Set-up of a checkout: a virtual environment with exactly what requirements.lock names.

Run by ``make`` before everything else; needs only Python 3.11 or later. Doing it again is a look
at one stamp. What is missing is said in one sentence with the remedy; the rest of the output of
the tools is in build/setup.log. ``bootstrap.py lock`` resolves requirements.lock anew.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
LOG = ROOT / "build" / "setup.log"
STAMP = VENV / "midstage-setup.sha256"
FREE_BYTES = 3 * 1024**3
OLDEST = (3, 11)


class SetupError(Exception):
    """One sentence: what is missing, and what to do."""


def main(arguments):
    """Exit code 0 when the environment stands, 1 with one sentence on stderr when it can't."""
    work = {(): set_up, ("lock",): lock}.get(tuple(arguments))
    if work is None:
        print("midstage: bootstrap.py takes no argument but 'lock'", file=sys.stderr)
        return 1
    try:
        work()
    except SetupError as error:
        print("midstage: " + str(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("midstage: set-up was interrupted: run it again, nothing is lost", file=sys.stderr)
        return 1
    return 0


def set_up():
    """Make ``.venv`` what the lock and the distributions ask for; nothing when it is that."""
    if sys.version_info < OLDEST:
        raise SetupError(
            "Python %d.%d or later is needed and this is %s: install a newer one, or name it with "
            "make PYTHON=/path/to/python3" % (*OLDEST, sys.version.split()[0])
        )
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted and (VENV / "bin" / "python").exists():
        return
    free = shutil.disk_usage(ROOT).free
    if free < FREE_BYTES:
        raise SetupError(
            "%.1f GB are free here and set-up needs %d GB: free some disk space"
            % (free / 1024**3, FREE_BYTES // 1024**3)
        )
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("")
    STAMP.unlink(missing_ok=True)
    step("environment", make_environment)
    step("packages", install_packages)
    step("midstage", install_midstage)
    STAMP.write_text(wanted)


def fingerprint():
    """What the environment depends on, as one hash."""
    digest = hashlib.sha256(sys.version.encode() + str(ROOT).encode())
    for file in [Path(__file__), LOCK, *distributions()]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def distributions():
    """Every distribution's pyproject.toml, in one order."""
    return sorted(
        [*ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")]
        + [ROOT / "infra/local/pyproject.toml", ROOT / "pyproject.toml"]
    )


def step(name, work):
    """Say what is being done before it is, because the first time takes a while."""
    print("set-up: " + name + " …", file=sys.stderr, flush=True)
    work()


def make_environment():
    """A fresh virtual environment with the pinned uv in it."""
    run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        "this Python can't make virtual environments: install its venv package "
        "(Debian: apt-get install python3-venv)",
    )
    with tempfile.TemporaryDirectory() as scratch:
        only_uv = Path(scratch) / "uv.txt"
        only_uv.write_text(pinned("uv"))
        run(
            [VENV / "bin/python", "-m", "pip", "install", "--quiet", "--require-hashes"]
            + ["--no-deps", "-r", only_uv],
            "the package index can't be reached or gave other bytes than the lock names: "
            "check the network (pip's own settings are respected)",
        )


def pinned(name):
    """The lines of requirements.lock that pin one package, hashes included."""
    found = re.search(r"(?m)^%s==.*(?:\n    .*)*" % re.escape(name), LOCK.read_text())
    if found is None:
        raise SetupError("requirements.lock does not pin %s: run make lock" % name)
    return found.group(0) + "\n"


def install_packages():
    """Everything of the lock, each file checked against its hash."""
    run(
        [VENV / "bin/uv", "pip", "sync", "--python", VENV / "bin/python", "--require-hashes", LOCK],
        "packages could not be fetched: check the network and run it again, nothing is lost; "
        "behind a mirror set UV_DEFAULT_INDEX, because uv does not read pip's settings",
    )


def install_midstage():
    """midstage's own distributions, editable, with the build back end of the lock."""
    editable = []
    for file in distributions():
        if file.parent != ROOT:
            editable += ["-e", file.parent]
    run(
        [VENV / "bin/uv", "pip", "install", "--python", VENV / "bin/python", "--no-deps"]
        + ["--no-build-isolation", *editable],
        "midstage's own packages could not be installed",
    )


def lock():
    """Resolve every distribution's dependencies into requirements.lock, for all platforms."""
    own = [re.search(r'(?m)^name = "(.*)"', file.read_text()).group(1) for file in distributions()]
    command = [VENV / "bin/uv", "pip", "compile", "--universal", "--generate-hashes"]
    command += ["--python-version", "3.11", "--no-header", "--no-annotate", "--quiet"]
    command += ["--group", "dev", "--group", "bench"]
    for name in own:
        command += ["--no-emit-package", name]
    run(
        [*command, "-o", LOCK, ROOT / "pyproject.toml"],
        "the dependencies could not be resolved",
    )


def run(command, remedy):
    """Run it with its output in the log; one sentence when it fails."""
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("a") as log:
        log.write("$ " + " ".join(map(str, command)) + "\n")
        log.flush()
        environment = {**os.environ, "UV_LINK_MODE": os.environ.get("UV_LINK_MODE", "hardlink")}
        environment.pop("VIRTUAL_ENV", None)
        done = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        last = [line for line in LOG.read_text().splitlines() if line.strip()][-1]
        raise SetupError("%s (details in %s; it ended with: %s)" % (remedy, LOG, last.strip()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
