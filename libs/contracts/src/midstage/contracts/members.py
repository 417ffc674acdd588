"""Which processes of a service are there to share its work.

Written to ``midstage.members.v1`` by each process for itself, twice a second while it could do all
of the work; read by the processes of the same service. Who falls silent is replaced.
"""

from midstage.contracts.fact import Fact, Name

MEMBER_SEEN = "dev.midstage.member.seen.v1"
MEMBER_LEFT = "dev.midstage.member.left.v1"


class MemberSeen(Fact, frozen=True, kw_only=True):
    """A process had folded all that it needs, and went on; ``member`` is its name of this start."""

    service: Name
    member: Name


class MemberLeft(Fact, frozen=True, kw_only=True):
    """A process was told to end: nobody need wait for its silence."""

    service: Name
    member: Name
