from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.client import times
from midstage.contracts.errors import RefusedError

NOW = datetime(2026, 1, 31, 12, 34, 56, 789, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
        ("-90s", "2026-01-31T12:33:26.000789Z"),
        ("-30m", "2026-01-31T12:04:56.000789Z"),
        ("-1h", "2026-01-31T11:34:56.000789Z"),
        ("-7d", "2026-01-24T12:34:56.000789Z"),
        ("now", "2026-01-31T12:34:56.000789Z"),
    ],
)
def test_times_are_absolute_or_before_now(text: str, meant: str) -> None:
    assert times.rfc3339(times.parsed("--from", text, now=NOW)) == meant


@pytest.mark.parametrize("text", ["", "yesterday", "1h", "-1w", "-h", "-١h", "2026-13-01T00:00Z"])
def test_what_is_no_time_is_refused_by_its_option(text: str) -> None:
    with pytest.raises(RefusedError, match=r"^--from .* is neither a time like"):
        times.parsed("--from", text, now=NOW)


@pytest.mark.parametrize("text", ["-999999999d", "0001-01-01T00:00:00+23:00"])
def test_what_no_calendar_holds_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="--to"):
        times.parsed("--to", text, now=NOW)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("2026-01-31T12:00:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31", "2026-01-31T00:00:00Z"),
    ],
)
def test_a_time_without_a_zone_is_refused_with_a_remedy_that_works(text: str, remedy: str) -> None:
    with pytest.raises(RefusedError, match=f"no time zone; write it like {remedy} "):
        times.parsed("--from", text, now=NOW)
    assert times.rfc3339(times.parsed("--from", remedy, now=NOW)) == remedy


def test_an_absolute_time_is_sent_as_it_is() -> None:
    exact = "2026-01-31T12:00:01Z"
    assert times.rfc3339(times.from_minute("--from", exact, now=NOW)) == exact
    assert times.rfc3339(times.to_minute("--to", exact, now=NOW)) == exact


@given(st.integers(0, 10**15), st.integers(0, 10**6))
def test_relative_times_hold_whole_minutes_around_what_was_said(micros: int, ago: int) -> None:
    now = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    text = f"-{ago}s"
    said = now - timedelta(seconds=ago)
    first = times.from_minute("--from", text, now=now)
    last = times.to_minute("--to", text, now=now)
    for minute in (first, last):
        assert (minute.second, minute.microsecond) == (0, 0)
    assert first <= said <= last
    assert said - first < timedelta(minutes=1)
    assert last - said < timedelta(minutes=1)
