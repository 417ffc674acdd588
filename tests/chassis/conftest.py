"""Fixtures of the chassis's tests."""

import pytest

from tests import ports


@pytest.fixture(scope="module")
def free_port() -> int:
    """A port that was free a moment ago."""
    return ports.free_port()
