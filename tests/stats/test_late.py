"""What comes late for a closed period: each sum told once as it is now, and none forgotten."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from midstage.contracts.billing import BillingFact, Line, UsageAdjusted, UsageGap, late_key
from midstage.contracts.errors import UnavailableError
from midstage.eventlog.versions import Answer
from midstage.stats.decide.billing import Account, adjust, evolve
from midstage.stats.stream import late
from midstage.stats.stream.gaps import BillingLog, Gaps
from midstage.stats.stream.late import Lates

from .periods import DECEMBER, NOBODY, NOVEMBER, Bills, Shard, beaten, closing
from .test_closing import facts
from .test_periods import MIDDLE, SOURCE, used


@pytest.fixture
def shard(tmp_path: Path) -> Iterable[Shard]:
    """The second of two, with November to be closed."""
    shard = Shard(directory=tmp_path, shard=1)
    shard.count(used(1, MIDDLE), said=(beaten(SOURCE, 1, shard.at),))
    yield shard
    shard.ledger.close()


def seen(after_row: int, upto_row: int, **amounts: int) -> UsageAdjusted:
    """A look at what came late in this cut."""
    return UsageAdjusted(
        period="2026-11",
        since=NOVEMBER.until,
        shard=0,
        after_row=after_row,
        upto_row=upto_row,
        revision=1,
        lines=tuple(
            Line(customer="acme", app="chat", kind="unit", name=name, amount=str(amount))
            for name, amount in amounts.items()
        ),
        at=NOVEMBER.until,
    )


def told(looks: Sequence[UsageAdjusted]) -> list[tuple[int, dict[str, int]]]:
    """What stands in the log after these looks."""
    account, found = Account(), list[tuple[int, dict[str, int]]]()
    for look in looks:
        for fact in adjust(account, look):
            account = evolve(account, fact)
            found.append((fact.revision, amounts(fact)))
    return found


def amounts(fact: UsageAdjusted) -> dict[str, int]:
    return {line.name: int(line.amount) for line in fact.lines}


def test_after_a_seal_a_sum_is_told_anew_though_it_is_as_large_as_before() -> None:
    assert told(
        [
            seen(0, 5, tokens=1, pages=2),
            seen(9, 12, tokens=1),
            seen(9, 13, tokens=1, pages=2),
        ]
    ) == [(1, {"tokens": 1, "pages": 2}), (2, {"tokens": 1}), (3, {"pages": 2})]


def test_who_looked_before_the_last_one_says_nothing() -> None:
    assert told([seen(0, 5, tokens=3), seen(0, 4, tokens=1)]) == [(1, {"tokens": 3})]
    assert told([seen(9, 12, tokens=1), seen(0, 8, tokens=3)]) == [(1, {"tokens": 1})]


def test_sums_of_one_look_in_several_facts_are_all_told_once() -> None:
    looks = [seen(0, 5, tokens=3), seen(0, 5, pages=2)]
    assert told([*looks, *looks]) == [(1, {"tokens": 3}), (2, {"pages": 2})]


@dataclass
class Away:
    """A log of billing that takes nothing while it is away."""

    inner: BillingLog
    away: bool = True

    def states(self) -> Mapping[str, Account]:
        return self.inner.states()

    def caught_up(self) -> str | None:
        return self.inner.caught_up()

    def execute(
        self,
        *,
        key: str,
        command_id: str,
        payload: bytes,
        decide: Callable[[Account], Sequence[BillingFact]],
    ) -> Answer[BillingFact]:
        if self.away:
            raise UnavailableError("no broker answers")
        return self.inner.execute(key=key, command_id=command_id, payload=payload, decide=decide)


def lates(log: BillingLog, shard: Shard) -> Lates:
    ids = iter(f"late-{n}" for n in range(1000))
    return Lates(
        log=log,
        rows=shard.ledger,
        opened=shard.periods.opened,
        now=lambda: shard.at,
        new_id=ids.__next__,
        shard=shard.shard,
    )


def test_what_could_not_be_told_is_told_when_the_log_is_back(shard: Shard) -> None:
    bills = Bills()
    with bills.followed() as log:
        closing(log, [shard]).close(NOVEMBER, NOBODY, "c-1")
        shard.count(used(2, MIDDLE), used(4, MIDDLE))
        away, ids = Away(log), iter(f"gap-{n}" for n in range(9))
        gaps = Gaps(
            log=away,
            told=shard.periods.watched,
            now=lambda: shard.at,
            new_id=ids.__next__,
            shard=shard.shard,
            grace=timedelta(0),
        )
        loops = (lates(away, shard), gaps)
        for loop in loops:
            loop.look()
        away.away = False
        for loop in loops:
            loop.look()
    found = facts(bills)
    assert [amounts(one) for one in found if isinstance(one, UsageAdjusted)] == [
        {"ok": 2, "input_tokens": 6_000_000}
    ]
    assert [(one.first, one.last) for one in found if isinstance(one, UsageGap)] == [(3, 3)]


def test_a_fact_names_its_month_its_shard_and_its_cut_however_many_lines_there_are(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "MOST_LINES", 4)
    bills = Bills()
    with bills.followed() as log:
        closing(log, [shard]).close(NOVEMBER, NOBODY, "c-1")
        shard.count(*(used(n, MIDDLE, customer=f"c-{n}") for n in range(2, 7)))
        lates(log, shard).look()
        states = log.states()
    found = [one for one in facts(bills) if isinstance(one, UsageAdjusted)]
    assert [len(one.lines) for one in found] == [4, 4, 2]
    assert [one.revision for one in found] == [1, 2, 3]
    cut = ("2026-11", DECEMBER.since, 1, 1, 6)
    for one in found:
        assert (one.period, one.since, one.shard, one.after_row, one.upto_row) == cut
    lines = [line for one in found for line in one.lines]
    assert {(line.customer, line.name, line.amount) for line in lines} == {
        (f"c-{n}", name, amount)
        for n in range(2, 7)
        for name, amount in (("ok", "1"), ("input_tokens", "3000000"))
    }
    assert len(states[late_key("2026-11", 1)].sums) == 10
