"""Fixtures that every area shares: one real Kafka, one real Kubernetes for the whole run."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from .kubernetes import Kubernetes

# A shell starts what it puts in the background with Ctrl-C ignored, and every child inherits that:
# what the stories start must hear Ctrl-C as it does from a person's terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# By itself Hypothesis fails an example that takes 0.2 s, and calls the test unreliable when the
# next try is faster: on a busy machine any of ten thousand examples may stand still for so long.
settings.register_profile("midstage", deadline=None)
settings.load_profile("midstage")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long to build, unless ``-m`` names it: Kubernetes, the reference."""
    built = ("kubernetes", "reference")
    absent = [name for name in built if name not in config.option.markexpr]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in absent)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="module", autouse=True)
def closed_writers() -> Iterator[None]:
    """No writer outlives its module.

    Its client would seek the broker without end, and may find the port held by what another test
    started there: an Envoy answers it, and counts its handshakes as requests of nobody.
    """
    before = writers()
    yield
    left = writers() - before
    assert not left, f"{len(left)} Kafka writers were not closed"


def writers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "kafka-writer"}


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real single-node Kafka: ``MIDSTAGE_TEST_KAFKA``, or one of our own."""
    given = os.environ.get("MIDSTAGE_TEST_KAFKA")
    if given:
        yield given
        return
    from midstage.local.kafka import running_kafka  # noqa: PLC0415  only where one is started

    directory: Path = tmp_path_factory.mktemp("kafka")
    with running_kafka(directory) as address:
        yield address


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Kubernetes"]:
    """A real Kubernetes with the four nodes of the conformance suite, whose pods are processes.

    It is one of our own, or the one of the kubeconfig ``MIDSTAGE_TEST_KUBERNETES``.
    """
    from .kubernetes import given, running  # noqa: PLC0415  only where one is used

    kubeconfig = os.environ.get("MIDSTAGE_TEST_KUBERNETES")
    if kubeconfig:
        yield given(Path(kubeconfig))
        return
    with running(tmp_path_factory.mktemp("kubernetes")) as own:
        yield own
