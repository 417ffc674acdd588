"""Fixtures that every area shares: one real Kafka for the whole run."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell starts what it puts in the background with Ctrl-C ignored, and every child inherits that:
# what the stories start must hear Ctrl-C as it does from a person's terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
