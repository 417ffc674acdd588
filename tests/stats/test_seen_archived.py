"""What was seen and is lost is read again from the ledger's archive, as from the ledger itself."""

import shutil
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.stats.adapters.seen import HashFiles, opening
from midstage.stats.decide import hashed

from .conftest import NOON, request
from .periods import Crash, CrashedError, Shard

HOUR = timedelta(hours=1)
EVENTS = 40


@pytest.fixture
def shard(tmp_path: Path) -> Iterable[Shard]:
    """Of 40 unnumbered events over five hours, between as many with numbers, three hours left."""
    shard = Shard(directory=tmp_path, at=NOON + 10 * HOUR)
    for n in range(EVENTS):
        time = NOON + n * timedelta(minutes=7)
        shard.count(
            request("edges/edge-1/a", n + 1, time=time),
            request("jobs", None, event_id=f"e{n}", time=time),
        )
    archived = shard.archived(before=NOON + 3 * HOUR)
    assert archived == 3
    yield shard
    shard.ledger.close()


def seen(shard: Shard, *, reached: Failpoint = nothing) -> HashFiles:
    """What a start of stats knows."""
    held = opening.opened(
        shard.file, ledger=shard.ledger, now=lambda: shard.at, reached=reached, seal_at=8
    )
    held.absorb(shard.ledger.unnumbered(held.mark()), row=shard.ledger.row())
    return held


def known(held: HashFiles, names: Sequence[str]) -> list[bool]:
    return [bool(one) for one in held.known(hashed(("jobs", name) for name in names))]


NAMES = [f"e{n}" for n in range(EVENTS)]


def test_a_folder_that_is_lost_is_made_again(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "ROWS_AT_ONCE", 7)
    held = seen(shard)
    assert all(known(held, NAMES))
    assert not any(known(held, ["other", "e40"]))
    assert held.mark() >= shard.ledger.archived_upto()
    held.close()
    again = seen(shard)
    assert all(known(again, NAMES))
    again.close()


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("place", ["seen:drafted", "seen:sealed"])
def test_a_death_meanwhile_forgets_nothing(
    shard: Shard, monkeypatch: pytest.MonkeyPatch, place: str, nth: int
) -> None:
    monkeypatch.setattr(opening, "ROWS_AT_ONCE", 7)
    with pytest.raises(CrashedError):
        seen(shard, reached=Crash(place, nth))
    held = seen(shard)
    assert all(known(held, NAMES))
    held.close()


def test_where_the_archive_is_damaged_too_it_is_refused_with_the_remedy(shard: Shard) -> None:
    seen(shard).close()
    shutil.rmtree(shard.file.with_name(f"{shard.file.name}.seen"))
    victim = shard.archive.files()[1].file
    path = shard.file.with_name(f"{shard.file.name}.archive") / victim
    intact = path.read_bytes()
    path.write_bytes(intact[:-1])
    with pytest.raises(UnavailableError, match=f"{victim} damaged or missing.*archive's files"):
        seen(shard)
    path.write_bytes(intact)
    held = seen(shard)
    assert all(known(held, NAMES))
    held.close()


def test_rows_are_read_as_long_as_somebody_asks(shard: Shard) -> None:
    shard.at += timedelta(days=35)
    held = seen(shard)
    assert all(known(held, NAMES))
    held.close()


def test_rows_of_which_nobody_asks_any_more_are_not_read(shard: Shard) -> None:
    shard.at += timedelta(days=40)
    shard.count(request("jobs", None, event_id="late", time=NOON + timedelta(minutes=1)))
    shard.archived(before=NOON + 3 * HOUR)
    held = seen(shard)
    assert known(held, ["late"]) == [True]
    assert not any(known(held, NAMES[:20]))
    held.close()
