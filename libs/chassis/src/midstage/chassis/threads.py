"""How long a thread may keep the interpreter while another one waits for it: not long.

A thread that calls C code lets go of the interpreter and has to get it back each time, a commit of
columns some thousand times. By Python's own interval of 5 ms a thread that decodes keeps it so
long at each of them, and what should go on beside it waits until it has ended.
"""

import sys

_LONGEST_S = 0.0002


def handed_over_soon() -> None:
    """Hand the interpreter over to a thread that has waited for 0.2 ms."""
    sys.setswitchinterval(_LONGEST_S)
