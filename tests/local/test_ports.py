import socket

from midstage.local import ports


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        assert not ports.free(server.getsockname()[1])


def test_ports_found_differ_and_avoid_the_taken_ones() -> None:
    first = ports.found(20)
    second = ports.found(20, taken=first)
    assert len({*first, *second}) == 40


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:  # noqa: PTH123  not a file of ours
        lowest = int(file.read().split()[0])
    assert max(ports.found(50)) < lowest
