"""The one place where inputs become a count, for all rules: pure, and the same bytes each time."""

from collections.abc import Sequence

from midstage.contracts.scaling import Evaluation, Inputs, Stage
from midstage.hpa.decide.rules import proposals
from midstage.hpa.decide.stages import LIMIT, WANT, Situation, Step, begin, begun_with


def evaluate(inputs: Inputs) -> Evaluation:
    """The evaluation of ``inputs``; ``engine`` and ``offsets`` are for the shell to fill in.

    Whatever the inputs are: the count is within the bounds, and without valid input it is not
    lowered except to the maximum. Raises nothing.
    """
    start = begin(inputs)
    situation = Situation(
        inputs=inputs, proposals=proposals(inputs, start.replicas), current=start.replicas
    )
    wanted = _chain(situation, start, WANT)
    first = begun_with(situation) if inputs.current == 0 else 0
    want = max(wanted[-1].replicas, first)
    limited = _chain(situation, wanted[-1], LIMIT)
    stages = (start, *wanted, *limited)
    return Evaluation(
        inputs=inputs,
        proposals=situation.proposals,
        stages=stages,
        replicas=limited[-1].replicas,
        reason=_reason(stages),
        want=want if situation.leading or first else None,
    )


def _chain(situation: Situation, before: Stage, steps: Sequence[Step]) -> list[Stage]:
    stages: list[Stage] = []
    for step in steps:
        before = step(situation, before.replicas)
        stages.append(before)
    return stages


def _reason(stages: Sequence[Stage]) -> str:
    """What was wanted, and each stage that changed the figure after that."""
    return "; ".join(stage.reason for stage in stages if stage.reason)
