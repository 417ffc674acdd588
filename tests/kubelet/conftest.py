"""A namespace of a real Kubernetes for each test."""

import contextlib
from collections.abc import Iterator

import pytest

from midstage.cluster.kubernetes.connection import Connection
from tests.kubernetes import Kubernetes

from .world import World


@pytest.fixture
def world(kubernetes: Kubernetes) -> Iterator[World]:
    with contextlib.closing(Connection(name="test", where=kubernetes.where)) as connection:
        one = World(connection=connection)
        one.begin()
        yield one
        one.end()
