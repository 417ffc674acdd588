"""The quotas of a namespace: what each lets all pods have, and what is used of it.

Quotas for some pods only (with scopes) are left out: whose pods they count is not known here. An
amount that is no quantity is left out, too.
"""

from collections.abc import Sequence

import msgspec

from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import QUOTAS, Discovery
from midstage.cluster.kubernetes.quantities import quantity
from midstage.cluster.kubernetes.quota import Quota
from midstage.cluster.kubernetes.shapes import Shape, Strings
from midstage.cluster.objects import QuotaUse
from midstage.contracts.errors import UnreadableError


class _Quotas(Shape, frozen=True, kw_only=True):
    items: tuple[Quota, ...] | None = None


_QUOTAS = msgspec.json.Decoder(_Quotas)


class Quotas:
    """Those of one namespace."""

    def __init__(self, connection: Connection, discovery: Discovery, *, namespace: str) -> None:
        """Ask nothing yet."""
        self._connection = connection
        self._discovery = discovery
        self._namespace = namespace

    def told(self) -> Sequence[QuotaUse]:
        """As ``Cluster.quotas``."""
        path = self._discovery.path(QUOTAS, namespace=self._namespace)
        answer = self._connection.decoded(self._connection.request("GET", path), _QUOTAS)
        return [_use(each) for each in answer.items or () if not _scoped(each)]


def _scoped(quota: Quota) -> bool:
    return bool(quota.spec.scopes or quota.spec.scope_selector)


def _use(quota: Quota) -> QuotaUse:
    """What the cluster has counted; of a quota that it has not yet nothing is told."""
    return QuotaUse(
        name=quota.metadata.name,
        namespace=quota.metadata.namespace,
        hard=_amounts(quota.status.hard),
        used=_amounts(quota.status.used),
    )


def _amounts(told: Strings | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, text in (told or {}).items():
        try:
            amount = float(quantity(text))
        except UnreadableError:
            continue
        if 0 <= amount < float("inf"):
            found[name] = amount
    return found
