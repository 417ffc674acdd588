"""The processes that share the work, as one of them has heard of them.

By a clock of its own that never goes back, so no two clocks are compared: a member is there until
it says that it leaves, or was not heard of for some seconds.
"""

from typing import Final

from midstage.contracts.members import MemberLeft, MemberSeen

SILENCE_S: Final = 3.0


class Members:
    """Those of one service; not for two threads at once."""

    def __init__(self, service: str) -> None:
        """Know of nobody."""
        self._service = service
        self._heard: dict[str, float] = {}

    def apply(self, fact: MemberSeen | MemberLeft, heard_at: float) -> None:
        """Hear of a member, at a second of one's own clock."""
        if fact.service != self._service:
            return
        match fact:
            case MemberSeen(member=member):
                self._heard[member] = heard_at
            case MemberLeft(member=member):
                self._heard.pop(member, None)

    def present(self, now: float) -> frozenset[str]:
        """Those who are there at ``now`` of the same clock; the others are forgotten."""
        self._heard = {who: at for who, at in self._heard.items() if now - at < SILENCE_S}
        return frozenset(self._heard)
