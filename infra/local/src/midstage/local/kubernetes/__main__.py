"""``python -m midstage.local.kubernetes``: build the binary if need be, say where it is.

With ``--run FOLDER`` a cluster without nodes runs in that folder until SIGTERM or Ctrl-C; the
first line on stdout is then the administrator's kubeconfig.
"""

import argparse
import signal
import sys
import threading
from pathlib import Path

from midstage.local.errors import PlatformError
from midstage.local.kubernetes import building
from midstage.local.kubernetes.running import running_kubernetes


def main() -> int:
    """Exit with 0, or with 1 and one sentence."""
    parser = argparse.ArgumentParser(prog="python -m midstage.local.kubernetes")
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="run a cluster in this folder")
    folder: Path | None = parser.parse_args().run
    try:
        if folder is None:
            _print(str(building.binary(say=_say)))
        else:
            _run(folder)
    except PlatformError as e:
        _say(str(e))
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _run(folder: Path) -> None:
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    with running_kubernetes(folder, say=_say) as cluster:
        _print(str(cluster.kubeconfig))
        over.wait()


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
