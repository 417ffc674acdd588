"""The request log's directory: strangers in it, files that vanish, clocks that are set."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from midstage.contracts.topics import REQUESTS
from midstage.gateway.adapters import logfiles
from midstage.gateway.decide import shipping
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S, looping
from .shipping import Yard


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


@pytest.mark.parametrize("meanwhile", ["shipping", "stopped"])
def test_envoy_s_file_that_somebody_removed_gets_no_second_line_one(
    yard: Yard, meanwhile: str
) -> None:
    first = yard.envoy_starts()
    yard.requests_end(2)
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: len(yard.refs()) == 2)
        if meanwhile == "shipping":
            (yard.log_dir / f"{first}.jsonl").unlink()
            within(DEADLINE_S, lambda: yard.files() and first not in yard.files())
    if meanwhile == "stopped":
        (yard.log_dir / f"{first}.jsonl").unlink()
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: yard.files() and first not in yard.files())
        yard.requests_end(1)
        within(DEADLINE_S, lambda: yard.refs() == ["r1", "r2", "r3"])


def test_files_that_are_not_ours_are_left_alone(yard: Yard) -> None:
    foreign = ["notes.txt", "current.jsonl.bak", "20261399T990000.000000Z-abcdef.jsonl"]
    for name in foreign:
        (yard.log_dir / name).write_bytes(b"{}\n")
    yard.envoy_starts()
    yard.requests_end(2)
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: yard.refs() == ["r1", "r2"])

    assert all((yard.log_dir / name).is_file() for name in foreign)
    assert len(yard.records(REQUESTS.name)) == 2


def test_a_clock_that_is_set_back_promises_nothing_of_times_to_come() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    ahead = shipping.acknowledged(
        shipping.looked(shipping.begun(noon), asked=noon + timedelta(hours=1), size=10), 10
    )
    back = shipping.looked(ahead, asked=noon, size=20)

    assert ahead.until == noon + timedelta(hours=1) - shipping.MARGIN
    assert back.until < noon
    assert shipping.acknowledged(back, 20).until < noon
    later = shipping.looked(back, asked=noon + timedelta(seconds=1), size=20)
    assert shipping.acknowledged(later, 20).until > noon


def test_the_next_name_is_later_whatever_the_clock_says(yard: Yard) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    times = [noon, noon - timedelta(days=400), noon, noon + timedelta(seconds=1)]
    names = [logfiles.begin(yard.log_dir, at).name for at in times]

    assert names == sorted(set(names))
