"""Who decides what: each partition has one owner among the members, and none has many more.

Pure, so that all members who read the same come to the same. Whoever holds a partition keeps it
while that is fair: nothing moves that need not.
"""

from collections import Counter
from collections.abc import Collection, Mapping


def shares(
    partitions: int, holders: Mapping[int, str], members: Collection[str]
) -> Mapping[int, str]:
    """The owner of each partition from 0 on; none where there is no member.

    ``holders``: who holds it now, whether that is still a member or not.
    """
    if not members:
        return {}
    held = Counter(holders.values())
    ordered = sorted(members, key=lambda member: (-held[member], member))
    least, more = divmod(partitions, len(ordered))
    room = {member: least + (place < more) for place, member in enumerate(ordered)}
    owners: dict[int, str] = {}
    for number in range(partitions):
        holder = holders.get(number, "")
        if room.get(holder, 0) > 0:
            owners[number] = holder
            room[holder] -= 1
    for number in range(partitions):
        if number not in owners:
            owners[number] = max(ordered, key=lambda member: room[member])
            room[owners[number]] -= 1
    return owners
