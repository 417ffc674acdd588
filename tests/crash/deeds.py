"""What is done to a run: who dies, where, and who stops to wake after its successor.

The places are read from the sources of stats and gateway, so that a new one can't be forgotten.
The first deeds are those without which a run proves nothing; then every other place, then moments
at random; the seed shuffles what is after the first ones.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
_PLACE = re.compile(r'reached\(\s*f?"([a-z:-]+)"')
BETWEEN = ("consume:decoded", "ledger:inserted")
"""Where a chunk is read and not committed."""
_ELSEWHERE = ("archive:", "append:", "closing:", "seal:")
"""A run has no old rows and closes no period before its end: the tests of these die there."""
_EVENTLOG = ROOT / "libs/eventlog/src/midstage/eventlog"
_SHARED = (_EVENTLOG / "consume.py", _EVENTLOG / "append.py")
_CLIENT = ("client:sent", "client:acknowledged")
SHARD, EDGE, CLIENT, BROKER = "shard", "edge", "client", "broker"
STOPS = {SHARD: "ingest:sent", EDGE: "ship:sent", CLIENT: "client:sent"}
"""Where one of each stops with events in its hands. The shard first: clients must post to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """``who`` dies at ``place`` (empty: at once), ``after_s`` later.

    With ``stops`` one of each kind also stops while the broker is away, and wakes, see ``STOPS``.
    """

    who: str
    place: str = ""
    after_s: float = 0.0
    stops: bool = False


FIRST = (
    Deed(who=SHARD, place="ledger:inserted"),
    Deed(who=EDGE, place="ship:sent", after_s=0.3),
    Deed(who=BROKER, stops=True),
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
    return [place for place in _stats() if not place.startswith(_ELSEWHERE)]


def other_places() -> Sequence[str]:
    """Every failpoint of stats where no run can die."""
    return [place for place in _stats() if place.startswith(_ELSEWHERE)]


def edge_places() -> Sequence[str]:
    """Every failpoint of a shipper."""
    return [place for place in _places(ROOT / "services/gateway/src") if place.startswith("ship:")]


def spared(kills: Mapping[str, int]) -> Sequence[str]:
    """The places where nobody died; ``kills`` are named by who and place."""
    every = {SHARD: shard_places(), EDGE: edge_places(), CLIENT: _CLIENT}
    said = [f"{who} {place}" for who, places in every.items() for place in places]
    return [one for one in said if not kills.get(one)]


def _stats() -> Sequence[str]:
    return _places(ROOT / "services/stats/src", *_SHARED)


def _at_random(random: Random, who: str) -> Deed:
    """At once, or at a place that each of them has: so it dies in the midst of its work."""
    if who == BROKER:
        return Deed(who=who)
    common = {SHARD: BETWEEN, EDGE: ("ship:sent",), CLIENT: _CLIENT}[who]
    return Deed(who=who, place=random.choice(["", "", *common]), after_s=random.choice([0, 0.2]))


def _places(*roots: Path) -> Sequence[str]:
    files = [file for root in roots for file in ([root] if root.is_file() else root.rglob("*.py"))]
    return sorted({place for file in files for place in _PLACE.findall(file.read_text())})
