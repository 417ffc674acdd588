"""Windows of time in zones whose clocks are set: against the calendar itself."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.stats.views.usage.plan import NOTHING, Piece, Rolled, Table, plan
from midstage.stats.views.usage.question import Question, Timing, Wanted, Window
from midstage.stats.views.usage.windows import (
    begun,
    boundaries,
    ended,
    micros,
    moment,
    stretches,
)

BERLIN = "Europe/Berlin"
ZONES = [
    *("UTC", BERLIN, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"),
    *("Asia/Kathmandu", "America/Sao_Paulo", "Pacific/Apia", "Africa/Casablanca"),
]
times = st.integers(0, 40 * 365 * 86400).map(
    lambda seconds: datetime(1995, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def day(local: str, zone: str = BERLIN) -> tuple[datetime, datetime]:
    """When a local day begins and ends, in UTC."""
    begin = begun(micros(datetime.fromisoformat(f"{local}T00:00:00+00:00")), Window.DAY, zone)
    return moment(begin), ended(moment(begin), Window.DAY, zone)


@pytest.mark.parametrize(
    ("local", "hours"),
    [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)],
)
def test_a_day_has_as_many_hours_as_its_clock_says(local: str, hours: int) -> None:
    begin, end = day(local)
    assert end - begin == timedelta(hours=hours)


def test_a_day_whose_midnight_there_was_not_begins_when_the_clock_was_set() -> None:
    begin, end = day("2018-11-04", "America/Sao_Paulo")
    assert begin == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert end - begin == timedelta(hours=23)


def test_february_has_29_days_in_a_leap_year() -> None:
    for year, days in ((2024, 29), (2026, 28), (2000, 29)):
        begin = datetime(year, 2, 1, tzinfo=UTC)
        assert ended(begin, Window.MONTH, "UTC") - begin == timedelta(days=days)


def test_an_hour_that_comes_twice_is_two_windows() -> None:
    first = datetime(2026, 10, 25, 0, tzinfo=UTC)  # 02:00 by the summer clock
    second = first + timedelta(hours=1)  # and again by the winter clock
    assert ended(first, Window.HOUR, BERLIN) == second
    assert ended(second, Window.HOUR, BERLIN) == second + timedelta(hours=1)


def test_an_hour_in_which_the_clock_was_set_ends_there() -> None:
    """On Lord Howe half an hour comes twice: 01:00 to 02:00, and 01:30 again."""
    begin = datetime(2026, 4, 4, 14, tzinfo=UTC)  # 01:00 by the summer clock
    assert ended(begin, Window.HOUR, "Australia/Lord_Howe") == begin + timedelta(hours=1)
    within = datetime(2026, 4, 4, 15, tzinfo=UTC)
    assert ended(within, Window.HOUR, "Australia/Lord_Howe") == within + timedelta(minutes=30)


@given(st.sampled_from(ZONES), times, st.integers(0, 500))
def test_stretches_tell_the_clock_of_every_moment(zone: str, since: datetime, days: int) -> None:
    until = since + timedelta(days=days)
    found = stretches(zone, since=since, until=until)
    assert [one.begin for one in found] == sorted({one.begin for one in found})
    for i in range(50):
        at = since + (until - since) * i / 50
        (*_, standing) = (one for one in found if one.begin <= at)
        assert standing.offset == at.astimezone(ZoneInfo(zone)).utcoffset()


@given(st.sampled_from(ZONES), times)
def test_local_windows_follow_each_other_without_a_gap(zone: str, at: datetime) -> None:
    local = at.astimezone(ZoneInfo(zone)).date()
    begins = {
        Window.DAY: local,
        Window.WEEK: local - timedelta(days=local.weekday()),
        Window.MONTH: local.replace(day=1),
    }
    for window, date in begins.items():
        named = micros(datetime(date.year, date.month, date.day, tzinfo=UTC))
        begin = moment(begun(named, window, zone))
        end = ended(begin, window, zone)
        assert begin <= at < end
        assert begin.astimezone(ZoneInfo(zone)).date() in {date, date + timedelta(days=1)}


def asked(
    *, since: str, until: str, window: Window | None = None, zone: str = "UTC", **more: object
) -> Question:
    return Question(
        wanted=Wanted(columns=("requests",), **more),  # type: ignore[arg-type]  # a test's own words
        since=datetime.fromisoformat(since),
        until=datetime.fromisoformat(until),
        window=window,
        zone=zone,
        group_by=("app",),
    )


END = datetime(2026, 1, 20, tzinfo=UTC)
HOURS = Rolled(hours=END, until=None, version=7)
DAYS = Rolled(hours=END + timedelta(hours=5), until=END, version=7)


def planned(
    question: Question, zone: str = "UTC", derived: Rolled = HOURS
) -> list[tuple[Table, str, str]]:
    """What is read; of what is derived the minutes that came since are left out."""
    assert question.since is not None
    assert question.until is not None
    pieces = plan(question, stretches(zone, since=question.since, until=question.until), derived)
    return [
        (table, *(f"{one:%d %H:%M}" for one in (a, b) if one))  # type: ignore[misc]  # both are there
        for table, a, b, above, _ in pieces
        if not above
    ]


def test_whole_hours_are_read_from_hours_and_from_minutes_the_rims_and_what_came_since() -> None:
    question = asked(since="2026-01-01T10:30:00Z", until="2026-01-03T09:15:00Z")
    assert [piece[0] for piece in plan(question, (), HOURS) if piece.above == 7] == ["minutes"]
    assert planned(question) == [
        ("hours", "01 11:00", "03 09:00"),
        ("minutes", "01 10:30", "01 11:00"),
        ("minutes", "03 09:00", "03 09:15"),
    ]


def test_hours_that_are_not_derived_yet_are_read_from_minutes() -> None:
    question = asked(since="2026-01-19T22:00:00Z", until="2026-01-20T02:00:00Z")
    assert plan(question, (), HOURS) == (
        Piece(Table.HOURS, question.since, END, upto=7),
        Piece(Table.MINUTES, question.since, END, 7),
        Piece(Table.MINUTES, END, question.until),
    )
    assert planned(question, derived=NOTHING) == [("minutes", "19 22:00", "20 02:00")]


def test_a_time_within_one_hour_is_read_from_minutes() -> None:
    question = asked(since="2026-01-01T10:30:00Z", until="2026-01-01T10:45:00Z")
    assert planned(question) == [("minutes", "01 10:30", "01 10:45")]


def test_half_an_hour_of_a_zone_needs_minutes() -> None:
    question = asked(since="2026-01-01T00:00:00Z", until="2026-01-03T00:00:00Z", window=Window.DAY)
    assert planned(question, "Asia/Kolkata") == [("minutes", "01 00:00", "03 00:00")]
    assert planned(question, BERLIN) == [("hours", "01 00:00", "03 00:00")]


def test_whole_days_are_read_from_days_and_from_minutes_what_came_since() -> None:
    question = asked(since="2026-01-01T10:00:00Z", until="2026-01-03T09:15:00Z")
    assert planned(question, derived=DAYS) == [
        ("hours", "01 10:00", "02 00:00"),
        ("days", "02 00:00", "03 00:00"),
        ("hours", "03 00:00", "03 09:00"),
        ("minutes", "03 09:00", "03 09:15"),
    ]
    pieces = plan(question, (), DAYS)
    assert [piece.above for piece in pieces] == [0, 7, 0, 7, 0, 7, 0]
    assert {piece.table for piece in pieces if piece.above} == {Table.MINUTES}


def test_days_by_customer_alone_are_read_where_nothing_else_is_asked_for() -> None:
    cases: list[tuple[tuple[str, ...], dict[str, tuple[str | int | bool, ...]], Table]] = [
        ((), {}, Table.CUSTOMER_DAYS),
        (("customer",), {"customer": ("acme",)}, Table.CUSTOMER_DAYS),
        (("customer", "app"), {}, Table.DAYS),
        (("customer",), {"app": ("chat",)}, Table.DAYS),
    ]
    for group_by, among, table in cases:
        question = Question(
            wanted=Wanted(),
            since=END - timedelta(days=2),
            until=END,
            group_by=group_by,
            among=among,
        )
        assert [piece.table for piece in plan(question, (), DAYS)] == [table, Table.MINUTES]


def test_days_that_are_not_rolled_up_yet_are_read_from_hours() -> None:
    question = asked(since="2026-01-19T00:00:00Z", until="2026-01-22T00:00:00Z")
    assert planned(question, derived=DAYS)[-2:] == [
        ("hours", "20 00:00", "20 05:00"),
        ("minutes", "20 05:00", "22 00:00"),
    ]
    all_time = Question(wanted=Wanted(), group_by=("app",))
    assert plan(all_time, (), DAYS) == (
        Piece(Table.DAYS, None, DAYS.until, upto=7),
        Piece(Table.MINUTES, None, DAYS.until, 7),
        Piece(Table.HOURS, DAYS.until, DAYS.hours, upto=7),
        Piece(Table.MINUTES, DAYS.until, DAYS.hours, 7),
        Piece(Table.MINUTES, DAYS.hours, None),
    )


def tables(zone: str, window: Window | None) -> list[str]:
    question = asked(
        since="2026-01-01T00:00:00Z", until="2026-01-15T00:00:00Z", window=window, zone=zone
    )
    return [str(piece[0]) for piece in planned(question, zone, DAYS)]


def test_a_window_of_another_zone_has_the_days_that_lie_in_it_whole() -> None:
    whole = ["days"]
    assert tables(BERLIN, None) == tables("Asia/Kolkata", None) == whole
    assert tables("UTC", Window.DAY) == tables("Europe/London", Window.DAY) == whole
    assert tables("UTC", Window.HOUR) == tables(BERLIN, Window.DAY) == ["hours"]
    assert tables(BERLIN, Window.MONTH) == whole
    assert tables(BERLIN, Window.WEEK) == [*whole, "hours", *whole, "hours", *whole]
    assert tables("Asia/Kolkata", Window.WEEK) == [*whole, "minutes", *whole, "minutes", *whole]


def test_a_window_of_a_few_days_for_years_is_read_from_hours() -> None:
    question = asked(
        since="2016-01-01T00:00:00Z", until="2026-01-15T00:00:00Z", window=Window.WEEK, zone=BERLIN
    )
    assert {table for table, *_ in planned(question, BERLIN, DAYS)} == {"hours"}


LABELS = {Window.DAY: "%F", Window.WEEK: "%G-%V", Window.MONTH: "%Y-%m"}


@given(st.sampled_from(ZONES), times, st.integers(0, 40), st.sampled_from(list(LABELS)))
def test_boundaries_are_where_the_calendar_changes(
    zone: str, since: datetime, days: int, window: Window
) -> None:
    until, clock, step = since + timedelta(days=days), ZoneInfo(zone), timedelta(hours=6)
    found = list(boundaries(window, zone, since=since, until=until))
    assert all(since < begin < until for begin in found)
    for n in range(4 * days - 1):
        at = since + n * step
        label, after = (f"{time.astimezone(clock):{LABELS[window]}}" for time in (at, at + step))
        assert (label != after) == any(at < begin <= at + step for begin in found)


@pytest.mark.parametrize(
    "question",
    [
        asked(since="2026-01-01T10:30:01Z", until="2026-01-01T10:45:00Z"),
        asked(since="2026-01-01T10:30:00Z", until="2026-01-01T10:45:00.5Z"),
        asked(since="2026-01-01T10:30:00Z", until="2026-01-01T10:31:00Z", window=Window.SECOND),
        asked(
            since="2026-01-01T10:30:00Z",
            until="2026-01-01T10:31:00Z",
            quantiles={Timing.LATENCY: ("p50",)},
        ),
    ],
)
def test_what_sums_do_not_hold_is_read_from_rows(question: Question) -> None:
    assert [table for table, *_ in planned(question)] == ["rows"]


def test_nothing_is_read_for_no_time() -> None:
    assert planned(asked(since="2026-01-01T10:30:00Z", until="2026-01-01T10:30:00Z")) == []


@given(times, st.integers(0, 9600), st.sampled_from([None, *Window]), st.sampled_from(ZONES), times)
def test_the_pieces_are_all_of_the_time_and_nothing_twice(
    since: datetime, hours: int, window: Window | None, zone: str, rolled: datetime
) -> None:
    since = since.replace(second=0, minute=since.minute % 2 * 30)
    until = since + hours * timedelta(minutes=30)
    ended = rolled.replace(minute=0, second=0)
    derived = Rolled(hours=ended, until=ended.replace(hour=0), version=3)
    question = Question(
        wanted=Wanted(), since=since, until=until, window=window, zone=zone, group_by=("app",)
    )
    pieces = plan(question, stretches(zone, since=since, until=until), derived)
    at = since
    for piece in sorted((one for one in pieces if not one.above), key=lambda one: one[1] or since):
        assert piece.since == at
        assert piece.until is not None
        at = piece.until
    assert at == until
    later = [piece[1:4] for piece in pieces if piece.above]
    ends = [piece.until for piece in pieces if piece.table is Table.HOURS]
    assert all(end is not None and end <= ended for end in ends)
    whole = (Table.DAYS, Table.HOURS)
    assert later == [(*piece[1:3], 3) for piece in pieces if piece.table in whole]
