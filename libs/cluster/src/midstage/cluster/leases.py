"""Leases: one holder at a time, each change of the holder a higher epoch. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from midstage.cluster.objects import Lease


class Leases:
    """The leases of one cluster by name; an epoch never goes back, also over restarts."""

    def __init__(self, leases: Iterable[tuple[str, Lease]] = ()) -> None:
        """Go on with ``leases`` as they were."""
        self.by_name: dict[str, Lease] = dict(leases)

    def take(self, name: str, *, holder: str, within: timedelta, now: datetime) -> Lease:
        """Renew, take over or be told whose it is, as ``Cluster.take_lease`` says."""
        known = self.by_name.get(name)
        if known is not None and known.holder != holder and known.expires_at > now:
            return known
        epoch = 1 if known is None else known.epoch + (known.holder != holder)
        taken = Lease(holder=holder, epoch=epoch, expires_at=now + within)
        self.by_name[name] = taken
        return taken
