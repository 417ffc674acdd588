"""Rules of envoyproxy/ratelimit as chance makes them, and questions that mostly meet one.

None is in quota mode: throttle answers as the newest versions do, and the one it is compared with
does not tell yet that such a limit is used up.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)

from midstage.throttle.adapters.imported.protocol import RateLimitRequest

KEYS: Final = ("path", "user", "plan")
VALUES: Final = ("a", "b", "ab", "c")
PATTERNS: Final = (*VALUES, "a*", "*", "")
"""Values of rules: by name, by how they begin, any, and none said."""
NAMES: Final = ("one", "two", "three")
UNITS: Final = ("month", "year")
"""Shorter windows might end between one's answer and the other's."""
DEEPEST: Final = 3
MOST: Final = 9


def rules_of(domain: str, chance: Random) -> Mapping[str, object]:
    """A whole file."""
    return {"domain": domain, "descriptors": _descriptors(chance, DEEPEST)}


def question_of(domain: str, chance: Random) -> Any:
    """A ``RateLimitRequest`` with one to three descriptors."""
    asked = RateLimitRequest(domain=domain, hits_addend=chance.choice((0, 0, 1, 2, 7)))
    for _ in range(chance.randint(1, 3)):
        descriptor = asked.descriptors.add()
        for _ in range(chance.choice((1, 1, 2, 3))):
            descriptor.entries.add(key=chance.choice(KEYS), value=chance.choice(VALUES))
        if chance.random() < 0.2:
            descriptor.hits_addend.value = chance.randint(0, 4)
        if chance.random() < 0.1:
            descriptor.limit.requests_per_unit = chance.randint(1, MOST)
            descriptor.limit.unit = rls_pb2.RateLimitResponse.RateLimit.YEAR  # the same number
    return asked


def _descriptors(chance: Random, deep: int) -> Sequence[Mapping[str, object]]:
    places = [(key, value) for key in KEYS for value in PATTERNS]
    return [_descriptor(chance, *place, deep) for place in chance.sample(places, 5)]


def _descriptor(chance: Random, key: str, value: str, deep: int) -> Mapping[str, object]:
    said: dict[str, object] = {"key": key}
    if value:
        said["value"] = value
    if chance.random() < 0.8:
        said["rate_limit"] = _limit(chance)
    for flag in ("shadow_mode", "detailed_metric", "value_to_metric"):
        if chance.random() < 0.15:
            said[flag] = True
    if value.endswith("*") and chance.random() < 0.4:
        said["share_threshold"] = True
    if deep > 1 and chance.random() < 0.5:
        said["descriptors"] = _descriptors(chance, deep - 1)
    return said


def _limit(chance: Random) -> Mapping[str, object]:
    if chance.random() < 0.1:
        return {"unlimited": True}
    limit: dict[str, object] = {
        "unit": chance.choice(UNITS),
        "requests_per_unit": chance.randint(0, MOST),
    }
    if chance.random() < 0.4:
        limit["name"] = chance.choice(NAMES)
    if chance.random() < 0.2:
        others = [name for name in NAMES if name != limit.get("name")]
        limit["replaces"] = [{"name": chance.choice(others)}]
    return limit
