"""Closing a period in the log: once, whoever asks, wherever it dies, over all shards."""

import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_struct

from midstage.contracts.billing import (
    PeriodClosed,
    StatementPiece,
    UsageAdjusted,
    UsageGap,
    UsageGapClosed,
)
from midstage.contracts.errors import RefusedError
from midstage.contracts.topics import BILLING
from midstage.eventlog.appended import Facts, opened
from midstage.stats.adapters.rows import beside
from midstage.stats.decide.billing import Account, close
from midstage.stats.decide.periods import Accepted, Period
from midstage.stats.stream.billing import bookkeeping
from midstage.stats.stream.closing import Closing
from midstage.stats.stream.gaps import BillingLog, Gaps
from midstage.stats.stream.late import Lates

from .conftest import records
from .periods import (
    DECEMBER,
    GRACE,
    NOBODY,
    NOVEMBER,
    Bills,
    Crash,
    CrashedError,
    Shard,
    beaten,
    closing,
)
from .test_periods import MIDDLE, SOURCE, used

OTHER = "edges/edge-2/a"
PLACES = ("closing:sealed", "closing:piece", "closing:appended", "seal:sealing", "seal:sealed")
Told = PeriodClosed | StatementPiece | UsageAdjusted | UsageGap | UsageGapClosed


@pytest.fixture
def shards(tmp_path: Path) -> Iterable[list[Shard]]:
    shards = [Shard(directory=tmp_path, shard=number) for number in (0, 1)]
    for shard, source in zip(shards, (SOURCE, OTHER), strict=True):
        shard.count(*(used(n, MIDDLE, source=source) for n in range(1, 4)))
        shard.count(said=(beaten(source, 3, shard.at),))
    yield shards
    for shard in shards:
        shard.ledger.close()


def facts(bills: Bills) -> list[Told]:
    """All facts in the log, accepted or not."""
    topic = replace(BILLING, name=bills.topic)
    read, decoded = opened(topic), Facts[Told](topic)
    return [
        fact
        for record in records(bills.log, bills.topic)
        for fact in decoded(read(record).data.facts)
    ]


def closed(bills: Bills) -> list[PeriodClosed]:
    return [fact for fact in facts(bills) if isinstance(fact, PeriodClosed)]


def test_a_statement_adds_up_all_shards_and_its_pieces_in_the_log_are_its_bytes(
    shards: list[Shard],
) -> None:
    bills = Bills()
    with bills.followed() as log:
        desk = closing(log, shards)
        fact = desk.close(NOVEMBER, NOBODY, "c-1")
        statement = desk.statement("2026-11", from_rows=False)
        assert desk.statement("2026-11", from_rows=True) == statement
    assert b'"amount":"6","app":"chat","customer":"acme","kind":"outcome"' in statement
    assert [seal.shard for seal in fact.seals] == [0, 1]
    assert closed(bills) == [fact]
    told = [one for one in facts(bills) if isinstance(one, StatementPiece)]
    assert "".join(piece.content for piece in told).encode() == statement


def test_closed_again_it_is_as_it_was_and_with_another_time_it_is_refused(
    shards: list[Shard],
) -> None:
    bills = Bills()
    other = Period(name="2026-11", since=NOVEMBER.since, until=MIDDLE, zone="UTC")
    with bills.followed() as log:
        desk = closing(log, shards)
        first = desk.close(NOVEMBER, NOBODY, "c-1")
        assert desk.close(NOVEMBER, NOBODY, "c-1") == first
        assert desk.close(NOVEMBER, NOBODY, "c-2") == first
        with pytest.raises(RefusedError, match="another time"):
            desk.close(other, NOBODY, "c-3")
    with bills.followed() as log:  # a restart
        assert closing(log, shards).close(NOVEMBER, NOBODY, "c-4") == first
    assert len(closed(bills)) == 1


def test_a_month_that_is_not_over_or_not_complete_is_not_closed_and_nothing_is_sealed(
    shards: list[Shard],
) -> None:
    bills = Bills()
    with bills.followed() as log:
        desk = closing(log, shards)
        with pytest.raises(RefusedError, match="ends at"):
            desk.close(DECEMBER, NOBODY, "c-1")
        shards[1].count(used(7, MIDDLE, source=OTHER))
        with pytest.raises(RefusedError, match="edges/edge-2/a 4 to 6"):
            desk.close(NOVEMBER, NOBODY, "c-2")
        assert [shard.periods.sealed() for shard in shards] == [[], []]
        fact = desk.close(NOVEMBER, Accepted(gaps=True, by="ann", why="disk lost"), "c-3")
        assert desk.statement("2026-11", from_rows=True) == desk.statement(
            "2026-11", from_rows=False
        )
    assert [(gap.source, gap.first, gap.last) for gap in fact.gaps] == [(OTHER, 4, 6)]
    assert (fact.by, fact.why) == ("ann", "disk lost")


def test_a_period_that_is_closed_is_not_closed_with_another_time_by_who_did_not_know(
    shards: list[Shard],
) -> None:
    bills = Bills()
    with bills.followed() as log:
        fact = closing(log, shards).close(NOVEMBER, NOBODY, "c-1")
    assert close(Account(closed=fact), replace_struct(fact, sha256="0" * 64)) == ()
    with pytest.raises(RefusedError, match="another time"):
        close(Account(closed=fact), replace_struct(fact, until=MIDDLE))


def test_a_statement_whose_rows_have_changed_is_refused(shards: list[Shard]) -> None:
    bills = Bills()
    with bills.followed() as log:
        desk = closing(log, shards)
        desk.close(NOVEMBER, NOBODY, "c-1")
        with shards[1].ledger.writing() as writing:
            writing.db.execute("UPDATE requests SET customer = 'bolt' WHERE row = 1")
        assert desk.statement("2026-11", from_rows=False)
        with pytest.raises(RefusedError, match="can't be made again"):
            desk.statement("2026-11", from_rows=True)


def test_pieces_that_are_in_the_log_are_not_put_there_again(shards: list[Shard]) -> None:
    bills = Bills()
    with bills.followed() as log:
        with pytest.raises(CrashedError):
            closing(log, shards, reached=Crash("closing:piece")).close(NOVEMBER, NOBODY, "c-1")
        closing(log, shards).close(NOVEMBER, NOBODY, "c-2")
    assert len([one for one in facts(bills) if isinstance(one, StatementPiece)]) == 1


def test_who_answers_for_gaps_of_which_there_are_none_is_not_named(shards: list[Shard]) -> None:
    bills = Bills()
    with bills.followed() as log:
        fact = closing(log, shards).close(
            NOVEMBER, Accepted(gaps=True, by="ann", why="disk lost"), "c-1"
        )
    assert (fact.by, fact.why, fact.gaps) == ("", "", ())


def test_gaps_that_were_sealed_are_answered_for_by_who_closes_although_they_are_filled(
    shards: list[Shard],
) -> None:
    bills, ann = Bills(), Accepted(gaps=True, by="ann", why="disk lost")
    shards[1].count(used(7, MIDDLE, source=OTHER))
    with bills.followed() as log:
        with pytest.raises(CrashedError):
            closing(log, shards, reached=Crash("closing:sealed")).close(NOVEMBER, ann, "c-1")
        shards[1].count(*(used(n, MIDDLE, source=OTHER) for n in (4, 5, 6)))
        desk = closing(log, shards)
        with pytest.raises(RefusedError, match="edges/edge-2/a 4 to 6"):
            desk.close(NOVEMBER, NOBODY, "c-2")
        assert closed(bills) == []
        fact = desk.close(NOVEMBER, ann, "c-3")
    assert [(gap.source, gap.first, gap.last) for gap in fact.gaps] == [(OTHER, 4, 6)]
    assert (fact.by, fact.why) == ("ann", "disk lost")


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("nth", [1, 2])
def test_killed_while_closing_and_closed_again_it_is_closed_once_and_right(
    shards: list[Shard], place: str, nth: int
) -> None:
    bills, crash = Bills(), Crash(place, nth=nth)
    for shard in shards:
        shard.reached = crash
    with bills.followed() as log:
        with suppress(CrashedError):
            closing(log, shards, reached=crash).close(NOVEMBER, NOBODY, "c-1")
        crash.place = ""
    for shard, source in zip(shards, (SOURCE, OTHER), strict=True):
        shard.reopen()
        shard.count(used(4, MIDDLE, source=source))  # comes late for whatever is sealed
        shard.count(said=(beaten(source, 4, shard.at),))
    with bills.followed() as log:
        desk = closing(log, shards)
        fact = desk.close(NOVEMBER, NOBODY, "c-1")
        statement = desk.statement("2026-11", from_rows=True)
        assert desk.statement("2026-11", from_rows=False) == statement
        for shard in shards:
            shard.at = DECEMBER.until + timedelta(minutes=1)
        for shard, source in zip(shards, (SOURCE, OTHER), strict=True):
            shard.count(said=(beaten(source, 4, shard.at),))
        desk.close(DECEMBER, NOBODY, "c-2")
        late = desk.statement("2026-12", from_rows=True)
    billed = sum(seal.row for seal in fact.seals)
    assert (
        f'"amount":"{billed}","app":"chat","customer":"acme","kind":"outcome"'.encode() in statement
    )
    assert (b'"late":[]' in late) == (billed == 8)
    assert sorted(one.period for one in closed(bills)) == ["2026-11", "2026-12"]


def test_two_who_close_at_once_make_one_statement(shards: list[Shard]) -> None:
    bills = Bills()
    found: list[PeriodClosed] = []
    with bills.followed() as log, bills.followed() as other:
        desks = [closing(log, shards), closing(other, shards)]
        start = threading.Barrier(2)

        def close(number: int) -> None:
            start.wait()
            found.append(desks[number].close(NOVEMBER, NOBODY, f"c-{number}"))

        threads = [threading.Thread(target=close, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found[0] == found[1]
    assert len({fact.sha256 for fact in closed(bills)}) == 1


def test_of_two_who_mean_another_time_by_one_name_one_is_closed_whoever_dies(
    shards: list[Shard],
) -> None:
    """Each shard asks in the order of the shards, not itself first: or each would seal its own."""
    bills, crash = Bills(), Crash("seal:sealed")
    half = replace(NOVEMBER, until=MIDDLE + timedelta(days=1))
    with bills.followed() as log:
        desks = [composed(log, shards, own=own) for own in (0, 1)]
        for shard in shards:
            shard.reached = crash
        with pytest.raises(CrashedError):
            desks[1].close(half, NOBODY, "c-1")
        with pytest.raises(RefusedError, match=r"2026-11 is sealed as .* to 2026-11-16"):
            desks[0].close(NOVEMBER, NOBODY, "c-2")
        fact = desks[0].close(half, NOBODY, "c-3")
        assert desks[1].close(half, NOBODY, "c-4") == fact
        assert desks[0].statement("2026-11", from_rows=True)


def test_a_month_that_one_shard_alone_has_sealed_is_closed_before_the_next_one(
    shards: list[Shard],
) -> None:
    """Or the next one would be the first of the other shard, and the month have no part of it."""
    bills, crash = Bills(), Crash("seal:sealed")
    for shard, source in zip(shards, (SOURCE, OTHER), strict=True):
        shard.at = DECEMBER.until + timedelta(minutes=1)
        shard.count(said=(beaten(source, 3, shard.at),))
        shard.reached = crash
    with bills.followed() as log:
        desks = [composed(log, shards, own=own) for own in (0, 1)]
        with pytest.raises(CrashedError):
            desks[0].close(NOVEMBER, NOBODY, "c-1")
        for desk in desks:
            with pytest.raises(RefusedError, match="2026-11 is sealed and not closed"):
                desk.close(DECEMBER, NOBODY, "c-2")
        desks[1].close(NOVEMBER, NOBODY, "c-3")
        desks[1].close(DECEMBER, NOBODY, "c-4")
        statement = desks[0].statement("2026-11", from_rows=True)
    assert b'"amount":"6","app":"chat","customer":"acme","kind":"outcome"' in statement


def composed(log: BillingLog, shards: list[Shard], *, own: int) -> Closing:
    """As the process of the shard with the number ``own`` closes."""
    return bookkeeping(
        shards[own].ledger,
        directory=beside(shards[own].file),
        far=[shard.periods for shard in shards if shard.shard != own],
        log=log,
        upto_row=lambda: 0,
        shard=own,
        grace=GRACE,
        kept=timedelta(days=7),
        now=lambda: shards[own].at,
        new_id=lambda: "c-0",
        reached=shards[own].reach,
    ).closing


def test_what_comes_late_is_told_in_absolute_sums_with_revisions_and_once(
    shards: list[Shard],
) -> None:
    bills, shard = Bills(), shards[0]

    def told() -> list[tuple[int, dict[str, str]]]:
        return [
            (fact.revision, {line.name: line.amount for line in fact.lines})
            for fact in facts(bills)
            if isinstance(fact, UsageAdjusted)
        ]

    with bills.followed() as log:
        closing(log, shards).close(NOVEMBER, NOBODY, "c-1")

        def look(number: str) -> None:
            ids = iter(f"{number}-{n}" for n in range(100))
            Lates(
                log=log,
                rows=shard.ledger,
                opened=shard.periods.opened,
                now=lambda: shard.at,
                new_id=ids.__next__,
                shard=0,
            ).look()

        look("a")
        assert told() == []
        shard.count(used(4, MIDDLE))
        look("b")
        look("c")  # a restart says nothing again
        shard.count(used(5, MIDDLE, tokens=0))
        look("d")
        shard.count(used(6, DECEMBER.since + timedelta(days=1)))
        look("e")
    assert told() == [(1, {"ok": "1", "input_tokens": "3000000"}), (2, {"ok": "2"})]


def test_a_gap_is_in_the_log_once_and_so_is_its_end_however_many_look_and_whoever_restarts(
    shards: list[Shard],
) -> None:
    bills, shard = Bills(), shards[0]
    shard.count(used(7, MIDDLE), said=(beaten(SOURCE, 7, shard.at),))

    def gaps() -> list[tuple[int, int | None]]:
        return [(fact.first, fact.last) for fact in facts(bills) if isinstance(fact, UsageGap)]

    for restart in range(2):
        with bills.followed() as log:
            ids = iter(f"{restart}-{n}" for n in range(100))
            watch = Gaps(
                log=log,
                told=shard.periods.watched,
                now=lambda: shard.at,
                new_id=ids.__next__,
                shard=0,
                grace=GRACE,
            )
            for _ in range(3):
                watch.look()
                shard.at += GRACE / 2
                shard.count(said=(beaten(SOURCE, 7, shard.at),))
            watch.look()
            if restart:
                shard.count(*(used(n, MIDDLE) for n in (4, 5, 6)))
                watch.look()
                watch.look()
    assert gaps() == [(4, 6)]
    filled = [fact for fact in facts(bills) if isinstance(fact, UsageGapClosed)]
    assert [(fact.source, fact.first, fact.last) for fact in filled] == [(SOURCE, 4, 6)]
