"""What is in flight, and up to when everything is counted: unknown is not zero."""

from dataclasses import replace
from datetime import timedelta

from midstage.contracts.edges import Gauge
from midstage.stats.model import Beat, Closing, Ranges, Source
from midstage.stats.views.gauges import Carried, Heard, carrying, complete_until, heard, read_until

from .conftest import NOON

SECOND = timedelta(seconds=1)


def source(
    file: str = "a",
    *,
    edge: str = "edge-1",
    silent_s: float = 1.0,
    gauges: tuple[Gauge, ...] | None = (),
    newest: bool = True,
    seen: int = 0,
    closed_with: int | None = None,
) -> Source:
    at = NOON - timedelta(seconds=silent_s)
    beat = Beat(at=at, highest=0, complete_until=at, newest=newest, gauges=gauges)
    return Source(
        name=f"edges/{edge}/{file}",
        edge=edge,
        seen=Ranges(((1, seen),)) if seen else Ranges(),
        beat=beat,
        closing=None if closed_with is None else Closing(at=at, highest=closed_with, torn=0),
        complete_until=at,
    )


def chat(in_flight: int, pending: int = 0) -> tuple[Gauge, ...]:
    return (Gauge(app="chat", in_flight=in_flight, pending=pending),)


def test_two_edges_carry_the_sum() -> None:
    edges = [source(gauges=chat(2, 1)), source(edge="edge-2", gauges=chat(3))]
    assert carrying(edges, now=NOON) == {"chat": Carried(in_flight=5, pending=1)}


def test_only_the_newest_source_of_an_edge_speaks() -> None:
    old = source("a", newest=False, gauges=None)
    assert carrying([old, source("b", gauges=chat(2))], now=NOON) == {"chat": Carried(in_flight=2)}


def test_alive_and_empty_is_zero() -> None:
    assert carrying([source(gauges=())], now=NOON) == {}


def test_no_edge_at_all_is_unknown() -> None:
    assert carrying([], now=NOON) is None


def test_an_edge_that_is_silent_for_five_seconds_makes_it_unknown() -> None:
    edges = [source(gauges=chat(2)), source(edge="edge-2", silent_s=5.1, gauges=chat(3))]
    assert carrying(edges, now=NOON) is None
    assert carrying(edges, now=NOON - timedelta(seconds=1)) is not None


def test_an_edge_whose_clock_is_ahead_makes_it_unknown() -> None:
    assert carrying([source(silent_s=-60)], now=NOON) is None


def test_an_edge_that_could_not_ask_envoy_makes_it_unknown() -> None:
    assert carrying([source(gauges=None)], now=NOON) is None


def test_an_edge_that_is_gone_for_ten_minutes_is_not_asked() -> None:
    edges = [source(gauges=chat(2)), source(edge="edge-2", silent_s=601, gauges=chat(3))]
    assert carrying(edges, now=NOON) == {"chat": Carried(in_flight=2)}


def test_complete_is_what_the_slowest_source_says() -> None:
    edges = [source(), source("b", silent_s=3)]
    assert complete_until(edges, now=NOON) == NOON - timedelta(seconds=3)


def test_a_closed_source_with_all_its_rows_holds_nothing_back() -> None:
    done = source("a", silent_s=30, seen=4, closed_with=4)
    assert complete_until([done, source("b")], now=NOON) == NOON - timedelta(seconds=1)


def test_a_closed_source_with_a_hole_holds_back() -> None:
    torn = source("a", silent_s=30, seen=4, closed_with=5)
    assert complete_until([torn, source("b")], now=NOON) == NOON - timedelta(seconds=30)


def test_without_a_word_from_any_edge_completeness_is_unknown() -> None:
    assert complete_until([], now=NOON) is None


def test_a_closed_source_carries_nothing_any_more() -> None:
    assert carrying([source(gauges=chat(2), closed_with=0)], now=NOON) is None
    edges = [source("a", gauges=chat(2), closed_with=0), source("b", silent_s=2, gauges=chat(3))]
    assert carrying(edges, now=NOON) == {"chat": Carried(in_flight=3)}


def test_of_two_sources_that_were_the_newest_the_later_word_speaks() -> None:
    """The older file's last beat still says that it is the newest: it counts once."""
    edges = [source("a", silent_s=3, gauges=chat(2)), source("b", gauges=chat(5))]
    assert carrying(edges, now=NOON) == {"chat": Carried(in_flight=5)}
    assert carrying(reversed(edges), now=NOON) == {"chat": Carried(in_flight=5)}


def test_a_source_that_was_never_complete_makes_completeness_unknown() -> None:
    lacking = replace(source("b"), complete_until=None)
    assert complete_until([source(), lacking], now=NOON) is None


def test_a_source_that_is_gone_for_ten_minutes_holds_nothing_back() -> None:
    edges = [source(), source("b", edge="edge-2", silent_s=601)]
    assert complete_until(edges, now=NOON) == NOON - timedelta(seconds=1)


def test_a_shard_through_which_no_edge_speaks_is_complete_up_to_when_it_had_read_all() -> None:
    assert heard([], now=NOON, read_until=NOON - SECOND) == Heard(
        edges=0, carrying=None, complete_until=NOON - SECOND
    )


def test_a_shard_that_lags_behind_does_not_claim_that_no_edge_speaks() -> None:
    assert heard([], now=NOON, read_until=None) == Heard()


def test_a_closed_source_with_a_hole_holds_an_edgeless_shard_back() -> None:
    torn = source("a", silent_s=30, seen=4, closed_with=5)
    said = heard([torn], now=NOON, read_until=NOON)
    assert (said.edges, said.complete_until) == (0, NOON - 30 * SECOND)
    done = source("a", silent_s=30, seen=5, closed_with=5)
    assert heard([done], now=NOON, read_until=NOON).complete_until == NOON


def test_what_the_edges_of_a_shard_say_does_not_hang_on_how_far_it_has_read() -> None:
    said = heard([source(gauges=chat(2))], now=NOON, read_until=None)
    assert said == Heard(
        edges=1, carrying={"chat": Carried(in_flight=2)}, complete_until=NOON - SECOND
    )


def test_a_silent_edge_still_counts_as_one_and_makes_it_unknown() -> None:
    said = heard([source(silent_s=60, gauges=chat(2))], now=NOON, read_until=NOON)
    assert (said.edges, said.carrying) == (1, None)
    assert said.complete_until == NOON - 60 * SECOND


def test_all_is_read_up_to_the_earlier_of_two_looks_that_saw_nothing_wait() -> None:
    before = NOON - SECOND
    assert read_until(before, lag=0, now=NOON) == before
    assert read_until(before, lag=3, now=NOON) is None
    assert read_until(before, lag=None, now=NOON) is None
    assert read_until(None, lag=0, now=NOON) is None
    assert read_until(NOON - 60 * SECOND, lag=0, now=NOON) is None
