"""The usage facts: each minute by customer, absolute, again when late events come, never twice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.usage import OTHERS, AppUsage
from midstage.stats.model import Sums, Words
from midstage.stats.stream.usages import kept, mark_of
from midstage.stats.views.seconds import EPOCH, MICROSECOND
from midstage.stats.views.shards import ALONE, Shard
from midstage.stats.views.units import MOST_UNITS
from midstage.stats.views.usage_facts import (
    MOST_APPS,
    SETTLING,
    Amount,
    Cell,
    Changed,
    Mark,
    beginning,
    observed,
)

from .conftest import NOON

MINUTE = timedelta(minutes=1)
OVER = MINUTE + SETTLING


def sums(*cells: Cell, amount: int = 1, kind: str = "outcome") -> Sums:
    count = len(cells)
    same = Words.same("", count)
    return Sums(
        minute=np.array([(minute - EPOCH) // MICROSECOND for minute, _ in cells], np.int64),
        customer=Words.of([customer for _, customer in cells]),
        app=same,
        endpoint=same,
        revision=same,
        kind=Words.same(kind, count),
        name=same,
        amount=np.full(count, amount),
    )


def fresh() -> Changed:
    return Changed({}, mark=beginning(NOON), version=0)


def test_a_minute_is_told_once_it_is_over_and_settled() -> None:
    changed = fresh()
    changed.absorb(sums((NOON, "acme"), (NOON, "globex")), version=1)
    assert changed.next(NOON + MINUTE, most=9) == ()
    assert changed.ended() == ()
    assert set(changed.next(NOON + OVER, most=9)) == {(NOON, "acme"), (NOON, "globex")}
    assert changed.ended() == (NOON,)
    assert (changed.next(NOON + OVER, most=9), changed.ended()) == ((), ())


def test_a_minute_that_is_running_waits_for_its_end() -> None:
    changed = fresh()
    changed.absorb(sums((NOON, "acme"), (NOON + MINUTE, "acme")), version=1)
    assert changed.next(NOON + OVER, most=9) == ((NOON, "acme"),)
    assert changed.ended() == (NOON,)
    assert changed.next(NOON + MINUTE + OVER, most=9) == ((NOON + MINUTE, "acme"),)


def test_a_minute_without_usage_ends_too() -> None:
    changed = fresh()
    assert changed.next(NOON + 2 * MINUTE + SETTLING, most=9) == ()
    assert changed.ended() == (NOON, NOON + MINUTE)


def test_what_late_events_change_is_told_with_the_next_minute_also_hours_later() -> None:
    changed = fresh()
    changed.next(NOON + 3 * 60 * MINUTE + SETTLING, most=9)
    changed.ended()
    changed.absorb(sums((NOON, "acme")), version=2)
    at = NOON + 3 * 60 * MINUTE + SETTLING
    assert changed.next(at, most=9) == ()
    assert changed.next(at + MINUTE, most=9) == ((NOON, "acme"),)


def test_bytes_and_zeros_alone_tell_nothing_new() -> None:
    changed = fresh()
    changed.absorb(sums((NOON, "acme"), amount=0), version=1)
    changed.absorb(sums((NOON, "acme"), kind="bytes"), version=2)
    assert changed.next(NOON + OVER, most=9) == ()


def test_the_mark_is_kept_among_the_ledgers_positions() -> None:
    mark = Mark(version=7, until=NOON, round_version=9, round_until=NOON + MINUTE)
    assert mark_of(kept(mark, "usage"), "usage", now=NOON) == mark
    assert mark_of({}, "usage", now=NOON + SETTLING) == beginning(NOON)


@dataclass
class Book:
    """What a ledger would hold: amounts by commit, and the mark of the last facts."""

    lines: list[tuple[int, Cell]] = field(default_factory=list)
    mark: Mark = field(default_factory=lambda: beginning(NOON))
    version: int = 0
    told: dict[tuple[Cell, int], int] = field(default_factory=dict)

    def amount(self, cell: Cell) -> int:
        return sum(1 for _, held in self.lines if held == cell)

    def changed(self) -> Mapping[Cell, int]:
        """As the ledger's own question: see ``adapters.facts``."""
        found: dict[Cell, int] = {}
        for version, cell in self.lines:
            if cell[0] < self.mark.until:
                least = max(self.mark.version, self.mark.round_version)
            else:
                least = self.mark.round_version if cell[0] < self.mark.round_until else 0
            if version > least:
                found[cell] = max(version, found.get(cell, 0))
        return found


cells = st.tuples(
    st.integers(0, 6).map(lambda minute: NOON + minute * MINUTE), st.sampled_from("abc")
)
steps = st.lists(
    st.one_of(
        st.lists(cells, min_size=1, max_size=4),  # a commit adds one to each
        st.integers(5, 90),  # so many seconds pass, then facts are told
        st.just("lost"),  # facts are made, and the process dies before they are durable
        st.just("died"),
    ),
    max_size=30,
)


@given(steps)
def test_nothing_is_told_twice_or_left_out_through_any_crash(
    story: list[list[Cell] | int | str],
) -> None:
    book, now = Book(), NOON
    changed = fresh()
    for step in story:
        match step:
            case list():
                book.version += 1
                book.lines += [(book.version, cell) for cell in set(step)]
                changed.absorb(sums(*set(step)), version=book.version)
            case int():
                now += timedelta(seconds=step)
                tell(book, changed, now)
            case _:
                if step == "lost":
                    changed.next(now + MINUTE, most=1)
                    changed.ended()
                changed = Changed(book.changed(), mark=book.mark, version=book.version)
    for minute in range(8):  # what is left is told, a round at once
        tell(book, changed, now + (4 + minute) * MINUTE, most=1000)
    for _, cell in book.lines:
        assert book.told[(cell, book.amount(cell))] == 1


def tell(book: Book, changed: Changed, now: datetime, *, most: int = 1) -> None:
    found, ended = changed.next(now, most=most), changed.ended()
    for cell in found:
        key = (cell, book.amount(cell))
        book.told[key] = book.told.get(key, 0) + 1
        assert book.told[key] == 1, f"told twice: {key}"
    if found or ended:
        book.version += 1
        book.mark = changed.mark


def amount(app: str, name: str, value: int, kind: str = "unit") -> Amount:
    return Amount(minute=NOON, customer="acme", app=app, kind=kind, name=name, amount=value)


def test_a_fact_has_the_amounts_of_each_application_and_a_revision_that_grows_with_them() -> None:
    held = [
        amount("chat", "ok", 2, kind="outcome"),
        amount("chat", "input_tokens", 6_000_000),
        amount("ocr", "pages", 0),
    ]
    (fact,) = observed(held, shard=Shard(number=1, of=3), complete_until=NOON)
    assert (fact.customer, fact.minute, fact.shard, fact.shards) == ("acme", NOON, 1, 3)
    assert fact.apps == (
        AppUsage(app="chat", outcomes={"ok": 2}, units={"input_tokens": 6_000_000}),
        AppUsage(app="ocr", units={"pages": 0}),
    )
    assert fact.revision == 6_000_002


def test_made_up_names_find_room_under_one_name_and_nothing_is_lost() -> None:
    apps = [amount(f"app-{number:05}", "t", 1) for number in range(3 * MOST_APPS)]
    (fact,) = observed(apps, shard=ALONE, complete_until=None)
    assert len(fact.apps) == MOST_APPS
    assert sum(each.units["t"] for each in fact.apps) == 3 * MOST_APPS == fact.revision
    assert OTHERS in {each.app for each in fact.apps}
    names = [amount("chat", f"t{number:05}", 1) for number in range(500)]
    (fact,) = observed(names, shard=ALONE, complete_until=None)
    (chat,) = fact.apps
    assert len(chat.units) == MOST_UNITS
    assert sum(chat.units.values()) == 500
