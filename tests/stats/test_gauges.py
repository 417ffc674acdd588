"""What is in flight, and up to when everything is counted: unknown is not zero."""

from dataclasses import replace
from datetime import timedelta

from midstage.contracts.edges import Gauge
from midstage.stats.model import Beat, Closing, Ranges, Source
from midstage.stats.views.gauges import Carried, carrying, complete_until

from .conftest import NOON


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
