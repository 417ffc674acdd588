"""Processes that share a service's work: who is there, who left, who holds what it decides."""

from midstage.contracts.fact import Event
from midstage.contracts.members import MEMBER_LEFT, MEMBER_SEEN, MemberLeft, MemberSeen
from midstage.contracts.scaling import EVALUATION_MADE, EvaluationMade
from midstage.contracts.topics import EVALUATIONS, MEMBERS

from .examples import NOON, Events
from .examples_scaling import MINIMAL

MEMBER = "hpa/7f3a"
EVENTS: Events = {
    "member-seen": (
        MEMBERS,
        Event(
            id=f"{MEMBER}/1",
            source=MEMBER,
            type=MEMBER_SEEN,
            time=NOON,
            data=MemberSeen(service="hpa", member=MEMBER),
        ),
    ),
    "member-left": (
        MEMBERS,
        Event(
            id=f"{MEMBER}/2",
            source=MEMBER,
            type=MEMBER_LEFT,
            time=NOON,
            data=MemberLeft(service="hpa", member=MEMBER),
        ),
    ),
    "evaluation-made-held": (
        EVALUATIONS,
        Event(
            id=f"{MEMBER}/3",
            source=MEMBER,
            type=EVALUATION_MADE,
            time=NOON,
            subject="ocr",
            data=EvaluationMade(app="ocr", evaluation=MINIMAL, epoch=3),
        ),
    ),
}
