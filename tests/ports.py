"""A port for what a test starts, outside those that the system hands to outgoing connections.

A port out of that range could be taken by any client while what listened there is restarted.
"""

from midstage.local.ports import found

_GIVEN: set[int] = set()


def free_port() -> int:
    """A port of this machine that is free now, and that nobody in this process was given before.

    What it was given to may not listen there yet.
    """
    (port,) = found(1, taken=_GIVEN)
    _GIVEN.add(port)
    return port
