"""A dozen customers, invented: the trace names none, and who limits and bills needs some.

Shares follow Zipf's law (the first sends 32 %, the last 2.7 %). Three of them are given less than
they ask for on average, so a replay of any trace at any speed sees refusals; the others have four
times what they ask for on average. API keys are random, one per customer and platform directory.
"""

import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

NAMES: Final = (
    "alder-bank",
    "birch-clinic",
    "cedar-games",
    "dogwood-travel",
    "elm-insurance",
    "fir-logistics",
    "ginkgo-news",
    "hazel-robotics",
    "ivy-schools",
    "juniper-retail",
    "kapok-energy",
    "larch-law",
)
_HARMONIC = sum(1 / rank for rank in range(1, len(NAMES) + 1))
SHARES: Final[Mapping[str, float]] = MappingProxyType(
    {name: 1 / rank / _HARMONIC for rank, name in enumerate(NAMES, 1)}
)
"""The part of all requests that each customer sends."""

SHORT: Final[Mapping[str, float]] = MappingProxyType(
    {"alder-bank": 0.75, "dogwood-travel": 0.7, "ivy-schools": 0.6}
)
"""Customers whose limit is this part of what they ask for on average."""
AMPLE = 4.0
LEAST_RATE = 0.05
_SHORT_BURST_S, _AMPLE_BURST_S, _AMPLE_BURST = 2.0, 10.0, 20


class _Named(msgspec.Struct):
    """A key that somebody gave a name too."""

    customer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerLimit:
    """The token bucket that the replay's platform sets for one customer of one application."""

    customer: str
    app: str
    rate_per_s: float
    burst: int
    why: str


def limits(*, app: str, rate_per_s: float) -> tuple[CustomerLimit, ...]:
    """Each customer's limit in a replay that offers ``rate_per_s`` requests a second of wall time.

    That is ``trace.mean_rate(arrivals) * speed``: limits are wall time, the trace's clock is not.
    """
    return tuple(_limit(app, name, rate_per_s * share) for name, share in SHARES.items())


def keys(token: Callable[[], str] = lambda: secrets.token_urlsafe(24)) -> dict[str, str]:
    """A fresh random API key for each customer, as the gateway wants them: key to customer."""
    return {f"mk-{token()}": name for name in NAMES}


def write_keys(file: Path) -> Mapping[str, str]:
    """The keys in ``file`` (key to customer), which is made with mode 0600 if it is not there."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    fresh = keys()
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(fresh, out, indent=2)
    return fresh


def keys_by_customer(file: Path) -> Mapping[str, str]:
    """What the caller needs: customer to key."""
    by_key = msgspec.json.decode(file.read_bytes(), type=dict[str, str | _Named])
    return {of if isinstance(of, str) else of.customer: key for key, of in by_key.items()}


def _limit(app: str, name: str, asks_per_s: float) -> CustomerLimit:
    part = SHORT.get(name)
    rate = round(max(LEAST_RATE, asks_per_s * (part or AMPLE)), 3)
    if part is None:
        burst = max(_AMPLE_BURST, round(rate * _AMPLE_BURST_S))
        why = f"{AMPLE:g} times its average"
    else:
        burst = max(2, round(rate * _SHORT_BURST_S))
        why = f"{part:g} of its average, so that the replay sees refusals"
    return CustomerLimit(customer=name, app=app, rate_per_s=rate, burst=burst, why=f"replay: {why}")
