"""The shipped excerpt: made again from the full trace, and with the waves that it promises."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.local.replay import excerpt, trace
from midstage.local.replay.excerpt import VALLEY, WAVES, share
from midstage.local.replica.service_time import ServiceTime

FULL = Path(__file__).parents[3] / "shared" / "data" / "AzureLLMInferenceTrace_conv.csv"
SHIPPED = Path(trace.__file__).parent / "traces" / "conv.csv"
HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens"


@pytest.mark.skipif(not FULL.exists(), reason="the full trace is not on this machine")
@pytest.mark.slow
def test_the_full_trace_gives_the_shipped_bytes_again(tmp_path: Path) -> None:
    made = tmp_path / "conv.csv"
    assert excerpt.main([str(FULL), str(made)]) == 0
    assert made.read_bytes() == SHIPPED.read_bytes()
    kept = SHIPPED.read_text(encoding="utf-8").splitlines()
    rows = iter(FULL.read_text(encoding="utf-8").splitlines())
    assert all(line in rows for line in kept)  # unchanged, in the same order, none twice


def in_flight(*, speed: float) -> list[int]:
    """Requests in service at each second of wall time, had each a slot at once."""
    times, service = trace.read("conv"), ServiceTime(speed=speed)
    spans = [
        (a.at_s / speed, a.at_s / speed + service.due_s(a.prompt_tokens, a.max_tokens))
        for a in times
    ]
    seconds = range(int(times[-1].at_s / speed))
    return [sum(begun <= second < ended for begun, ended in spans) for second in seconds]


@pytest.mark.slow
def test_load_rises_and_falls_for_long_enough_that_replicas_follow() -> None:
    """High: three times what is low. Each wave lasts longer than a scale-down waits."""
    load = in_flight(speed=trace.DEFAULT_SPEED)
    smooth = [sum(load[at : at + 5]) / 5 for at in range(len(load) - 5)]
    turns = ["low"]
    lengths = [0]
    for level in smooth:
        now = "high" if level >= 20 else "low" if level <= 11 else turns[-1]
        if now != turns[-1]:
            turns.append(now)
            lengths.append(0)
        lengths[-1] += 1
    assert turns == ["low", "high", "low", "high", "low", "high"]
    assert all(length >= 30 for length in lengths[1:-1])
    assert (8 <= lengths[0] <= 20, lengths[-1] >= 15) == (True, True)


def rows(seconds: list[float]) -> list[str]:
    return [HEAD, *(f"2023-11-16 18:{int(s) // 60:02d}:{s % 60:010.7f},7,9" for s in seconds)]


@pytest.mark.slow
@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=300).map(sorted))
def test_kept_rows_are_rows_of_the_trace_in_order_and_as_many_as_were_owed(
    milliseconds: list[int],
) -> None:
    lines = rows([ms / 1000 for ms in milliseconds])
    head, *kept = excerpt.excerpt(lines)
    assert head == HEAD
    rest = iter(lines)
    assert all(line in rest for line in kept)
    arrivals = trace.parsed(lines)
    begun = arrivals[excerpt.busiest(arrivals)].at_s
    owed = sum(share(a.at_s - begun) for a in arrivals if 0 <= a.at_s - begun <= WAVES[-1][0])
    assert owed - 1 - 1e-6 <= len(kept) <= owed + 1e-6


def test_the_busiest_quarter_begins_where_most_rows_follow() -> None:
    arrivals = trace.parsed(rows([0.0, 1000.0, 1001.0, 1002.0, 1950.0]))
    assert excerpt.busiest(arrivals) == 1


def test_shares_are_straight_lines_between_the_knots_and_nothing_beyond() -> None:
    for (left_s, left), (right_s, right) in pairwise(WAVES):
        assert share((left_s + right_s) / 2) == pytest.approx((left + right) / 2)
    assert (share(0.0), share(WAVES[-1][0] + 0.1), VALLEY) == (VALLEY, 0.0, 0.2)


def test_what_is_no_trace_is_said_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.csv"
    assert excerpt.main([str(tmp_path / "none.csv"), str(target)]) == 2
    assert excerpt.main([]) == 2
    assert "usage" in capsys.readouterr().err
    assert not target.exists()
