"""The newest load of all shards: added up where each said something, unknown where one did not."""

from datetime import date, timedelta

from midstage.contracts import sketch
from midstage.contracts.load import LoadObserved
from midstage.stats.views.newest import LoadShown, newest
from midstage.stats.views.recount import DayRecounted, days_added
from midstage.stats.views.status import Recorded, Standing, status

from .conftest import NOON

SECOND = timedelta(seconds=1)


def told(shard: int, at: int, *, app: str = "chat", ok: int = 1, edges: int = 1) -> LoadObserved:
    return LoadObserved(
        app=app,
        second=NOON + at * SECOND,
        shard=shard,
        shards=2,
        revision=ok,
        complete_until=NOON + (at + shard) * SECOND,
        outcomes={"ok": ok},
        units={"requests": ok * 1_000_000},
        in_flight=2 if edges else 0,
        pending=0,
        edges=edges,
    )


def test_a_second_is_shown_once_every_shard_has_told_it() -> None:
    facts = [told(0, 1, ok=2), told(0, 2), told(0, 3), told(1, 1), told(1, 2, ok=5)]
    (chat,) = newest(facts).load
    assert (chat.second, chat.outcomes, chat.in_flight) == (NOON + 2 * SECOND, {"ok": 6}, 4)
    assert (chat.revision, chat.complete_until) == (6, NOON + 2 * SECOND)


def test_a_shard_that_hears_no_edge_carries_nothing() -> None:
    (chat,) = newest([told(0, 1), told(1, 1, edges=0)]).load
    assert (chat.in_flight, chat.outcomes) == (2, {"ok": 2})


def test_an_application_of_which_one_shard_says_nothing_is_unknown_and_not_idle() -> None:
    assert newest([told(0, 1), told(0, 2, app="ocr"), told(1, 2, app="ocr")]).load == (
        LoadShown(app="chat", second=NOON + SECOND),
        newest([told(0, 2, app="ocr"), told(1, 2, app="ocr")]).load[0],
    )


def test_a_lag_of_which_one_shard_says_nothing_is_unknown() -> None:
    def standing(lag: int | None) -> Standing:
        return Standing(lag_records=lag, recorded=Recorded(rows=2, ages=sketch.sketch([5.0])))

    both = status({0: standing(3), 1: standing(4)})
    assert (both.lag_records, both.rows, both.recent_rows) == (7, 4, 2)
    one = status({0: standing(3), 1: standing(None)})
    assert (one.lag_records, one.rows) == (None, 4)
    assert [shard.lag_records for shard in one.shards] == [3, None]


def day(of: int | None, *, following: int | None = None) -> DayRecounted:
    return DayRecounted(
        day=None if of is None else date(2026, 1, of),
        rows=0 if of is None else 10,
        cells=3,
        differences=1,
        first=(),
        next=None if following is None else date(2026, 1, following),
    )


def test_shards_that_have_different_days_are_counted_day_by_day() -> None:
    first = days_added([day(3, following=9), day(5), day(None)])
    assert (first.day, first.rows, first.next) == (date(2026, 1, 3), 10, date(2026, 1, 5))
    second = days_added([day(9), day(5), day(None)])
    assert (second.day, second.next) == (date(2026, 1, 5), date(2026, 1, 9))
    both = days_added([day(9), day(9, following=10), day(None)])
    assert (both.rows, both.differences, both.next) == (20, 2, date(2026, 1, 10))
    assert days_added([day(None), day(None)]).day is None
