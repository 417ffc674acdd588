"""What stats does to its process before anything runs, and how it reads the log."""

import sys

import pytest

from midstage.contracts.topics import REQUESTS
from midstage.eventlog.kafka.evenly import EvenReader
from midstage.eventlog.topics import settings_of
from midstage.stats.main import kafka as kafka_of
from midstage.stats.main import main


def test_a_thread_that_waits_for_the_interpreter_has_it_soon() -> None:
    before = sys.getswitchinterval()
    try:
        assert main({}) == 1  # no setting is there; it would run from here on
        assert sys.getswitchinterval() < before / 10
    finally:
        sys.setswitchinterval(before)


@pytest.mark.platform
def test_no_partition_of_requests_waits_for_another(kafka: str) -> None:
    log = kafka_of(kafka)
    log.create(settings_of(REQUESTS))
    reader = log.reader(dict.fromkeys(log.partitions(REQUESTS.name), 0))
    assert isinstance(reader, EvenReader)
    reader.close()
