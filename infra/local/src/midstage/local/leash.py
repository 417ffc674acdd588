"""A tiny launcher: the program it becomes dies with its parent, even if that is killed with -9.

Run as ``python -I -S leash.py PARENT_PID PROGRAM ARGUMENT…`` by ``leashed``. The kernel keeps the
wish over exec. It is bound to the thread that started the child, so that thread has to stay.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def leashed(command: Sequence[str]) -> list[str]:
    """The command line that runs ``command`` as a child that can't outlive this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(arguments: Sequence[str]) -> int:
    """Ask to die with the parent, make sure that it still lives, and become the program."""
    parent, program = int(arguments[0]), list(arguments[1:])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return 1
    try:
        os.execvp(program[0], program)
    except OSError as e:
        sys.stderr.write(f"can't run {program[0]}: {e.strerror}\n")
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
