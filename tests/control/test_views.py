"""Rows of the inventory and places in the stream, without a process."""

from datetime import UTC, datetime, timedelta

import pytest

from midstage.contracts.cluster import ClusterReached, NodeUsed, PodUsed
from midstage.contracts.errors import RefusedError
from midstage.contracts.inventory import Inventory
from midstage.control.model import Position
from midstage.control.views import rows
from midstage.control.views.places import Filter, position, within

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
REACHED = ClusterReached(cluster="local", name="local", epoch=1, observed_at=NOON)
USED = PodUsed(
    cluster="local", name="chat-1", epoch=1, observed_at=NOON, app="chat", cpu=1, memory_mb=1
)


def test_a_cluster_of_which_nothing_is_heard_is_not_called_reachable() -> None:
    held = Inventory([REACHED])
    [now] = rows.clusters(held, NOON + timedelta(seconds=6))["clusters"]
    assert (now["reachable"], now["reason"], now["reached_at"]) == (True, None, NOON)
    [later] = rows.clusters(held, NOON + timedelta(minutes=1))["clusters"]
    assert not later["reachable"]
    assert "is a control running" in (later["reason"] or "")


def test_an_id_is_read_as_it_was_written() -> None:
    place = Position(offsets=(0, 12, 7))
    assert position(str(place), partitions=3) == place


@pytest.mark.parametrize(
    "given", ["", "1.2", "1.2.3.4", "1.2.x", "-1.2.3", "1..2", "1.2.3 ", "٣.1.2"]
)
def test_what_is_no_id_is_refused(given: str) -> None:
    with pytest.raises(RefusedError, match="not the id of a change") as refused:
        position(given, partitions=3)
    assert refused.value.status == 422


def test_a_place_must_be_held_and_have_happened() -> None:
    place = Position(offsets=(5, 5))
    assert within(place, oldest=(5, 0), ends=(5, 9)) is place
    with pytest.raises(RefusedError) as gone:
        within(place, oldest=(6, 0), ends=(9, 9))
    assert gone.value.status == 410
    with pytest.raises(RefusedError) as future:
        within(place, oldest=(0, 0), ends=(9, 4))
    assert future.value.status == 422


def test_measurements_are_told_only_where_everything_is() -> None:
    node = NodeUsed(cluster="local", name="n1", epoch=1, observed_at=NOON, cpu=1, memory_mb=1)
    for fact in (USED, node, REACHED):
        assert not Filter().matches(fact)
        assert Filter(everything=True).matches(fact)
    assert Filter(everything=True, app="chat").matches(USED)
    assert not Filter(everything=True, app="chat").matches(node)
    assert not Filter(everything=True, kind="node").matches(USED)
    assert not Filter(everything=True, name="chat-2").matches(USED)
