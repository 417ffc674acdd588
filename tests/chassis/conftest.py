"""Fixtures of the chassis's tests."""

import socket

import pytest


@pytest.fixture(scope="module")
def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
