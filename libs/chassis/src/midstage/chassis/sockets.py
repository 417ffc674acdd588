"""How many sockets and files a process may have open: shells allow 1,024, a server needs more.

The soft limit is for programs that ask the old way what is readable; none of ours does.
"""

import resource
from typing import Final

from midstage.chassis.logs import logger

BESIDE: Final = 1_000
"""What a process has open beside its callers: Kafka, other processes, files."""

_log = logger(__name__)


def opened_for(connections: int) -> None:
    """Have room for so many, as far as the hard limit lets; it is logged where that is less."""
    wanted = connections + BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        _log.warning("few_open_files", most=most, wanted=wanted)
