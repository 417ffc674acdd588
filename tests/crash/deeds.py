"""What is done to a run: who dies, where, and who stops to wake after its successor.

The places are read from the sources of stats and gateway, so that a new one can't be forgotten.
The first deeds are those without which a run proves nothing; then every other place, then moments
at random; the seed shuffles what is after the first ones.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
_PLACE = re.compile(r'reached\(\s*f?"([a-z:-]+)"')
BETWEEN = ("consume:decoded", "ledger:inserted")
"""Where a chunk is read and not committed."""
_ELSEWHERE = ("archive:", "closing:", "seal:")
"""A run has no old rows and closes no period: the tests of these die there."""
_SHARED = ROOT / "libs/eventlog/src/midstage/eventlog/consume.py"
_CLIENT = ("client:sent", "client:acknowledged")
SHARD, EDGE, CLIENT, BROKER = "shard", "edge", "client", "broker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """``who`` dies at ``place`` (empty: at once), ``after_s`` later; or ``stops`` there."""

    who: str
    place: str = ""
    after_s: float = 0.0
    stops: bool = False


FIRST = (
    Deed(who=SHARD, place="ledger:inserted"),
    Deed(who=EDGE, place="ship:sent", after_s=0.3),
    Deed(who=EDGE, place="ship:sent", stops=True),
    Deed(who=CLIENT, place="client:sent", stops=True),
    Deed(who=BROKER),
    Deed(who=CLIENT, place="client:sent", after_s=0.3),
    Deed(who=SHARD, place="consume:decoded"),
    Deed(who=SHARD, place="seen:drafted"),
    Deed(who=SHARD, place="segments:durable"),
)


def deeds(random: Random, *, kills: int) -> Sequence[Deed]:
    """So many deeds."""
    others = [
        *(Deed(who=SHARD, place=place) for place in shard_places()),
        *(Deed(who=EDGE, place=place) for place in edge_places()),
        *(Deed(who=CLIENT, place=place) for place in _CLIENT),
    ]
    others = [deed for deed in others if deed not in FIRST]
    chance = [SHARD, SHARD, EDGE, CLIENT, BROKER]
    missing = max(0, kills - len(FIRST) - len(others))
    rest = [*others, *(_at_random(random, random.choice(chance)) for _ in range(missing))]
    random.shuffle(rest)
    return [*FIRST, *rest][:kills]


def shard_places() -> Sequence[str]:
    """Every failpoint of a stats process that counts."""
    places = _places(ROOT / "services/stats/src", _SHARED)
    return [place for place in places if not place.startswith(_ELSEWHERE)]


def edge_places() -> Sequence[str]:
    """Every failpoint of a shipper."""
    return [place for place in _places(ROOT / "services/gateway/src") if place.startswith("ship:")]


def _at_random(random: Random, who: str) -> Deed:
    """At once, or at a place that each of them has: so it dies in the midst of its work."""
    if who == BROKER:
        return Deed(who=who)
    common = {SHARD: BETWEEN, EDGE: ("ship:sent",), CLIENT: _CLIENT}[who]
    return Deed(who=who, place=random.choice(["", "", *common]), after_s=random.choice([0, 0.2]))


def _places(*roots: Path) -> Sequence[str]:
    files = [file for root in roots for file in ([root] if root.is_file() else root.rglob("*.py"))]
    return sorted({place for file in files for place in _PLACE.findall(file.read_text())})
