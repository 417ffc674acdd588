"""Kubernetes' quantities as numbers: ``250m``, ``1.5Gi``, ``12e6``, ``100n``. Pure.

The grammar is that of apimachinery's ``resource.Quantity``: a signed decimal number and at most one
suffix, of a power of 1000 (n u m, none, k M G T P E), of 1024 (Ki Mi Gi Ti Pi Ei), or an exponent.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from math import ceil, floor

from midstage.cluster.kubernetes.names import GPU
from midstage.contracts.cluster import Amount
from midstage.contracts.errors import UnreadableError

_SHAPE = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d{1,3}|[numkMGTPE]|[KMGTPE]i)?", re.ASCII
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_MIB = 1024 * 1024
_KEPT = 4096
_NOTHING: Mapping[str, str] = {}
_NOTHING_AT_ALL = Amount()


@lru_cache(maxsize=_KEPT)  # thousands of pods ask for a few different amounts
def quantity(text: str) -> Decimal:
    """The exact number; UnreadableError where it is no quantity."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise UnreadableError(f"{text!r} is no quantity")
    number, suffix = found[1], found[2] or ""
    if suffix in _DECIMAL:
        return Decimal(number).scaleb(_DECIMAL[suffix])
    if suffix in _BINARY:
        return Decimal(number) * (1 << 10 * _BINARY[suffix])
    try:
        return Decimal(number).scaleb(int(suffix[1:]))
    except InvalidOperation as e:
        raise UnreadableError(f"{text!r} is no quantity") from e


def number(text: str) -> float:
    """The number as near as a float is; 0 where it is no quantity."""
    return float(_part(text))


def asked_for(amounts: Mapping[str, str] | None) -> Amount:
    """What requests say: cores, MiB, GPUs; rounded up, so that no room is seen that is not."""
    if not amounts:
        return _NOTHING_AT_ALL
    return _rounded_up(amounts.get("cpu", "0"), amounts.get("memory", "0"), amounts.get(GPU, "0"))


@lru_cache(maxsize=_KEPT)
def _rounded_up(cpu: str, memory: str, gpus: str) -> Amount:
    return Amount(
        cpu=float(_part(cpu)), memory_mb=ceil(_part(memory) / _MIB), gpus=ceil(_part(gpus))
    )


def there(amounts: Mapping[str, str] | None) -> Amount:
    """What a node has: cores, MiB, GPUs; rounded down."""
    told = amounts or _NOTHING
    return Amount(
        cpu=float(_part(told.get("cpu", "0"))),
        memory_mb=floor(_part(told.get("memory", "0")) / _MIB),
        gpus=floor(_part(told.get(GPU, "0"))),
    )


def _part(amount: str) -> Decimal:
    """What is no quantity is nothing."""
    try:
        return quantity(amount)
    except UnreadableError:
        return Decimal(0)
