"""A port for what a test starts, outside those that the system hands to outgoing connections.

A port out of that range could be taken by any client while what listened there is restarted.
"""

from midstage.local.ports import found


def free_port() -> int:
    """A port of this machine that is free now."""
    return found(1)[0]
