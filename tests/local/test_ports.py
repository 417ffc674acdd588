import socket
import subprocess
import sys

import pytest

from midstage.local import ports
from midstage.testkit.waiting import within

ANOTHER = """
import sys
from midstage.local import ports
print(*ports.found(int(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        assert not ports.free(server.getsockname()[1])


def test_ports_found_differ_and_avoid_the_taken_ones() -> None:
    first = ports.found(20)
    second = ports.found(200, taken=first)
    assert len({*first, *second}) == 220


def test_a_port_comes_late_again_though_nobody_listens_there_yet() -> None:
    assert len({ports.found(1)[0] for _ in range(90)}) == 90


@pytest.mark.slow
def test_no_two_processes_find_the_same_port_though_nobody_listens_there_yet() -> None:
    """Of 300 and 300 at random out of all, five would be the same."""
    with subprocess.Popen(
        [sys.executable, "-c", ANOTHER, "300"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as another:
        assert another.stdout is not None
        theirs = {int(port) for port in another.stdout.readline().split()}
        assert len(theirs) == 300
        assert theirs.isdisjoint(ports.found(300))
        (sample, *_) = theirs
        assert ports.free(sample)
        assert not ports.regained(sample)
        another.kill()
    within(60, lambda: ports.regained(sample))


def test_what_is_no_port_of_a_block_is_not_regained() -> None:
    assert not any(map(ports.regained, (0, 80, 14_999, 32_000, 65_535)))
    (own,) = ports.found(1)
    assert ports.regained(own)
    with socket.create_server((ports.LOOPBACK, own)):
        assert not ports.regained(own)


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:  # noqa: PTH123  not a file of ours
        lowest = int(file.read().split()[0])
    assert max(ports.found(50)) < lowest
