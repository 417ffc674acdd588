"""Shards, edges, clients and the broker die: what was accepted is in the ledgers, each once.

So it is where a shipper, a client and a shard that takes events stop and wake after others have
done their work: their late copies are in the log, and counted by nobody.

The small run of ``tests.bench.crash``; and that it would have noticed: with positions kept apart
from rows, a group's offsets trusted, or ids claimed before their rows are durable, as other systems
do, the same kind of run finds what was lost.
"""

from pathlib import Path
from random import Random

import pytest

from tests.crash.cast import Plan
from tests.crash.deeds import (
    CLIENT,
    EDGE,
    SHARD,
    STOPS,
    Deed,
    deeds,
    edge_places,
    other_places,
    shard_places,
)
from tests.crash.run import run
from tests.crash.wrong import WRONGS

from . import test_archive, test_closing, test_closing_process

pytestmark = [pytest.mark.slow, pytest.mark.platform]
BETWEEN = Deed(who=SHARD, place="ledger:inserted")


def test_nothing_is_lost_or_doubled_whoever_dies(tmp_path: Path) -> None:
    verdict = run(Plan(), tmp_path)
    assert verdict.wrong == []
    assert verdict.rows == verdict.recounted == verdict.stated == verdict.accepted >= 4000
    assert verdict.evidence.lacking() == [], verdict.evidence


@pytest.mark.parametrize("wrong", WRONGS)
def test_a_wrong_ledger_is_found_out(tmp_path: Path, wrong: str) -> None:
    verdict = run(dying_between(wrong, closes_within_s=1.0), tmp_path)
    assert any("accepted, not in the ledger" in one for one in verdict.wrong), verdict


def test_of_the_same_deaths_nothing_is_wrong_where_nothing_was_swapped(tmp_path: Path) -> None:
    """So what is found of a wrong ledger is found for its own reason."""
    verdict = run(dying_between("nothing", closes_within_s=120.0), tmp_path)
    assert verdict.wrong == []
    assert verdict.evidence.redelivered == 2


def dying_between(wrong: str, *, closes_within_s: float) -> Plan:
    """One shard of which ``wrong`` is swapped dies twice between reading and committing."""
    return Plan(
        events=400,
        shards=1,
        edges=1,
        clients=1,
        wrong=wrong,
        only=[BETWEEN, BETWEEN],
        closes_within_s=closes_within_s,
    )


def test_a_full_run_has_every_failpoint_of_stats_and_of_the_shipper() -> None:
    done = deeds(Random(1), kills=110)
    known = {"ledger:inserted", "ledger:committed", "seen:merged", "segments:written"}
    assert known <= set(shard_places())
    for who, places in ((SHARD, shard_places()), (EDGE, edge_places())):
        assert {deed.place for deed in done if deed.who == who} >= set(places)
    assert sum(deed.stops for deed in done) == 1
    assert STOPS.keys() == {SHARD, EDGE, CLIENT}


def test_where_no_run_can_die_other_tests_do() -> None:
    elsewhere = {*test_archive.PLACES, *test_closing.PLACES, *test_closing_process.PLACES}
    assert elsewhere == set(other_places())
