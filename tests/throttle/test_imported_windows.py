"""What imported rules remember is bounded, and nothing that counts is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.errors import UnavailableError
from midstage.throttle.decide.imported.counting import Counters
from midstage.throttle.decide.imported.reading import domains_of
from midstage.throttle.decide.imported.tally import OTHERS, Tally
from midstage.throttle.decide.imported.windows import Windows
from midstage.throttle.model.imported import Descriptor, Request

SECONDS = (1, 60, 3600)
DOMAINS = domains_of(
    [
        (
            "file",
            {
                "domain": "d",
                "descriptors": [
                    {
                        "key": "k",
                        "detailed_metric": True,
                        "rate_limit": {"unit": "minute", "requests_per_unit": 2},
                    }
                ],
            },
        )
    ]
)


def asked(*values: str) -> Request:
    return Request(
        domain="d", descriptors=tuple(Descriptor(entries=(("k", value),)) for value in values)
    )


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.sampled_from(SECONDS),
            st.integers(-5, 90),
            st.integers(0, 3),
        ),
        max_size=60,
    )
)
def test_sweeping_forgets_no_window_that_still_counts(
    steps: list[tuple[int, int, int, int]],
) -> None:
    """Against counters that are never swept: the hits in the window of now are the same."""
    windows, kept = Windows(), Windows()
    now_s = newest_s = 10_000
    for key, seconds, later_s, swept in steps:
        now_s = max(0, now_s + later_s)
        newest_s = max(newest_s, now_s)
        names = (str(key), str(seconds))
        if now_s == newest_s:  # a clock that goes back may find its window forgotten
            windows.sweep(now_s, most=swept)
        if now_s < newest_s:
            continue
        for each in (windows, kept):
            each.of(names, seconds=seconds, now_s=now_s).hits += 1
        found = windows.of(names, seconds=seconds, now_s=now_s).hits
        assert found == kept.of(names, seconds=seconds, now_s=now_s).hits
    windows.sweep(newest_s + max(SECONDS), most=10_000)
    assert len(windows) == 0


def test_a_million_values_a_minute_are_gone_with_their_windows() -> None:
    windows = Windows(most=1_000)
    for minute in range(50):
        now_s = minute * 60
        windows.sweep(now_s, most=1_000)
        for value in range(1_000):
            windows.of((str(minute), str(value)), seconds=60, now_s=now_s)
        assert len(windows) == 1_000


def test_a_sweep_does_only_so_much_at_once() -> None:
    windows = Windows()
    for value in range(10):
        windows.of((str(value),), seconds=1 + value % 2, now_s=0)
    left = []
    for _ in range(4):
        windows.sweep(100, most=3)
        left.append(len(windows))
    assert left == [7, 4, 1, 0]


def test_a_stranger_finds_no_room_and_pushes_nobody_out() -> None:
    counters = Counters(windows=Windows(most=2))
    counters.answer(DOMAINS, asked("a", "b"), 0)
    with pytest.raises(UnavailableError, match="2 counters"):
        counters.answer(DOMAINS, asked("a", "stranger"), 0)
    statuses = counters.answer(DOMAINS, asked("a"), 0).statuses
    assert statuses[0].remaining == 0  # the question without room had counted nothing
    counters.sweep(60)
    assert not counters.answer(DOMAINS, asked("stranger"), 60).over


def test_names_of_statistics_are_bounded() -> None:
    tally = Tally(most=2)
    for value in ("a", "b", "c", "d"):
        tally.of("d", f"d.k_{value}").total_hits += 1
    tally.of("e", "e.x").total_hits += 1
    assert {name: stats.total_hits for name, stats in tally} == {
        ("d", "k_a"): 1,
        ("d", "k_b"): 1,
        ("d", OTHERS): 2,
        ("e", OTHERS): 1,
    }
    assert tally["d.k_a"].total_hits == 1
    assert tally["nothing"].total_hits == 0


def test_a_name_as_long_as_a_text_is_not_kept() -> None:
    tally = Tally()
    tally.of("d", "d.k_" + "x" * 10_000).total_hits += 1
    assert [name for name, _ in tally] == [("d", OTHERS)]
