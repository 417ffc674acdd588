"""What the quotas of a namespace leave room for, counted for more than one pod at once. Pure.

A dry run asks for a single pod; whether ten more fit is counted here, in the server's own words.
Quotas for some pods only (with scopes) are left to the dry run.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from midstage.cluster.kubernetes.names import GPU
from midstage.cluster.kubernetes.quantities import quantity
from midstage.cluster.kubernetes.shapes import Meta, Shape, Strings
from midstage.cluster.objects import Template
from midstage.contracts.errors import UnreadableError

_MIB = 1024 * 1024


class Spec(Shape, frozen=True, kw_only=True):
    """For which pods it counts."""

    scopes: tuple[str, ...] | None = None
    scope_selector: dict[str, object] | None = None


class Status(Shape, frozen=True, kw_only=True):
    """What is allowed, and what is used of it."""

    hard: Strings | None = None
    used: Strings | None = None


class Quota(Shape, frozen=True, kw_only=True):
    """A ResourceQuota."""

    metadata: Meta
    spec: Spec = Spec()
    status: Status = Status()


def exceeded(quotas: Sequence[Quota], template: Template, more: int) -> Iterator[str]:
    """One line for each quota that has no room for ``more`` pods."""
    for quota in quotas:
        if quota.spec.scopes or quota.spec.scope_selector:
            continue
        short = list(_short(quota.status, _needed(template, more)))
        if short:
            asked, used, limited = (", ".join(each) for each in zip(*short, strict=True))
            name = quota.metadata.name
            yield f"exceeded quota: {name}, requested: {asked}, used: {used}, limited: {limited}"


def _short(status: Status, needed: Mapping[str, Decimal]) -> Iterator[tuple[str, str, str]]:
    hard, used = status.hard or {}, status.used or {}
    for name, amount in needed.items():
        if name in hard and amount + _number(used.get(name, "0")) > _number(hard[name]):
            told = f"{name}={_text(name, amount)}"
            yield told, f"{name}={used.get(name, '0')}", f"{name}={hard[name]}"


def _needed(template: Template, more: int) -> dict[str, Decimal]:
    amount = template.requests
    cpu = Decimal(str(amount.cpu)) * more
    memory, gpus = Decimal(amount.memory_mb) * _MIB * more, Decimal(amount.gpus) * more
    return {
        "pods": Decimal(more),
        "count/pods": Decimal(more),
        "cpu": cpu,
        "requests.cpu": cpu,
        "memory": memory,
        "requests.memory": memory,
        "limits.memory": memory,
        f"requests.{GPU}": gpus,
        f"limits.{GPU}": gpus,
    }


def _number(text: str) -> Decimal:
    try:
        return quantity(text)
    except UnreadableError:
        return Decimal(0)


def _text(name: str, amount: Decimal) -> str:
    if name.endswith("memory"):
        return f"{amount / _MIB:f}Mi"
    return f"{amount.normalize():f}"
