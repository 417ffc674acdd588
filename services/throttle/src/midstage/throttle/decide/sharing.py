"""Who counts for which customers: as even as can be, with as few moves as can be.

Nobody knows how many processes there are, and nobody has to: who has at least two partitions fewer
than the one that has most takes one of those. Each move makes it evener, so moves end, with nobody
two apart; and none is ever made between equals, so nothing goes to and fro.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence


def wanted(holders: Mapping[int, str], me: str) -> Sequence[int]:
    """The partitions that ``me`` takes from those who hold most; none where it has its share."""
    holders = dict(holders)
    taken: list[int] = []
    while True:
        counts = Counter(holders.values())
        counts.setdefault(me, 0)
        most, name = max((count, name) for name, count in counts.items())
        if most - counts[me] < 2:
            return taken
        number = max(number for number, holder in holders.items() if holder == name)
        holders[number] = me
        taken.append(number)


def handed(wanted: Mapping[int, Collection[str]], holders: Mapping[int, str]) -> Mapping[int, str]:
    """Who gets which of those that it wants: always who holds least, as long as that is evener.

    So what was asked for before others came or left makes nothing uneven.
    """
    counts = Counter(holders.values())
    given: dict[int, str] = {}
    for number in sorted(wanted, reverse=True):
        least, name = min((counts[name], name) for name in wanted[number])
        holder = holders[number]
        if counts[holder] - least >= 2:
            given[number] = name
            counts[holder] -= 1
            counts[name] += 1
    return given


def divided(
    free: Collection[int], holders: Mapping[int, str], among: Collection[str]
) -> Mapping[int, str]:
    """A new holder for each of the ``free``, always who holds least; nobody where all are gone.

    Whoever reckons by the same holders comes to the same end.
    """
    counts = Counter(dict.fromkeys(among, 0))
    counts.update(name for number, name in holders.items() if name in counts and number not in free)
    given: dict[int, str] = {}
    for number in sorted(free) if counts else ():
        _, name = min((count, name) for name, count in counts.items())
        given[number] = name
        counts[name] += 1
    return given
