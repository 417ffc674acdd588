"""What throttle looks things up in: which limit holds for a request, and how full its bucket is.

The most specific limit alone holds: customer and app, then customer and any app, then any customer
and app, then any and any; of two for the same pair the strictest. A bucket belongs to one limit
and one customer. A bucket that is not full is never dropped; a full one is, when its turn comes.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from midstage.contracts.limits import ANY, LimitSet
from midstage.throttle.decide.limits import Bucket
from midstage.throttle.model.limits import Limit, Slot, limit_of

BucketKey = tuple[str, str]
"""The limit's name and the customer."""


class Rules:
    """The limits that hold, by the pair they are for; made anew when one of them changes."""

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        """Index ``limits``, in whatever order they come."""
        self._by_pair: dict[tuple[str, str], Limit] = {}
        self._by_name: dict[str, Limit] = {}
        for limit in sorted(limits, key=_strictest_last):
            self._by_pair[limit.customer, limit.app] = limit
            self._by_name[limit.name] = limit

    def find(self, customer: str, app: str) -> Limit | None:
        """The limit for a request; None where none holds."""
        by_pair = self._by_pair
        return (
            by_pair.get((customer, app))
            or by_pair.get((customer, ANY))
            or by_pair.get((ANY, app))
            or by_pair.get((ANY, ANY))
        )

    def named(self, name: str) -> Limit | None:
        """The limit of that name; None where it does not stand."""
        return self._by_name.get(name)


class Buckets:
    """Every bucket that may not be full, and a ring of their keys, examined in turn."""

    def __init__(self, opened: Callable[[Bucket, BucketKey, int], None] | None = None) -> None:
        """Start with none; ``opened`` sees each that is made before it is asked."""
        self._opened = opened
        self._buckets: dict[BucketKey, Bucket] = {}
        self._ring: deque[BucketKey] = deque()

    def __len__(self) -> int:
        """How many buckets are remembered."""
        return len(self._buckets)

    def of(self, limit: Limit, customer: str, now_ns: int) -> Bucket:
        """The bucket, made where none is remembered; it holds by ``limit`` from now on."""
        key = (limit.name, customer)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(limit, now_ns)
            if self._opened is not None:
                self._opened(bucket, key, now_ns)
            self._ring.append(key)
        elif bucket.limit is not limit:
            bucket.follow(limit, now_ns)
        return bucket

    def sweep(self, rules: Rules, *, now_ns: int, most: int) -> None:
        """Examine the next ``most`` buckets: drop those that are full or have no limit any more.

        The others are brought up to ``now_ns``, so that a changed limit's new rate soon counts.
        """
        for _ in range(min(most, len(self._ring))):
            key = self._ring.popleft()
            limit = rules.named(key[0])
            bucket = self._buckets[key]
            if limit is not None:
                bucket.follow(limit, now_ns)
            if limit is None or bucket.meter.untouched(now_ns):
                del self._buckets[key]
                continue
            self._ring.append(key)


def standing(slots: Mapping[str, Slot]) -> list[LimitSet]:
    """The facts of the limits that stand, by name."""
    facts = [slot.standing for slot in slots.values() if slot.standing is not None]
    return sorted(facts, key=lambda fact: fact.limit)


def rules_of(slots: Mapping[str, Slot]) -> Rules:
    """The rules that the log's state says."""
    return Rules(limit_of(fact) for fact in standing(slots))


def _strictest_last(limit: Limit) -> tuple[int, int, str]:
    return (-limit.rate_micros, -limit.burst, limit.name)
