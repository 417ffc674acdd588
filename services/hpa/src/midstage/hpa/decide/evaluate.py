"""The one place where inputs become a count, for all rules: pure, and the same bytes each time."""

from collections.abc import Sequence
from typing import Final

from midstage.contracts.scaling import Evaluation, Inputs, Stage
from midstage.hpa.decide import situation
from midstage.hpa.decide.capacity import learned
from midstage.hpa.decide.rules import proposals
from midstage.hpa.decide.stages import WANT, chain

_WANTED: Final = WANT[-1].__name__


def evaluate(inputs: Inputs) -> Evaluation:
    """The evaluation of ``inputs``; ``engine`` and ``offsets`` are for the shell to fill in.

    Whatever the inputs are: the count is within the bounds, and without valid input it is lowered
    to a bound or by the policy's own fallback alone. Raises nothing.
    """
    start = begin(inputs)
    known = learned(inputs)
    proposed, memory = proposals(inputs, start.replicas, known)
    seen = situation.of(inputs, start.replicas, proposed)
    stages = (start, *chain(seen))
    return Evaluation(
        inputs=inputs,
        proposals=proposed,
        stages=stages,
        replicas=stages[-1].replicas,
        reason="; ".join([stage.reason for stage in stages if stage.reason]),
        want=_want(seen, inputs, stages),
        memory=memory,
        learned=known,
    )


def begin(inputs: Inputs) -> Stage:
    """The count in force; before any decision that of the spec, within the bounds."""
    if inputs.current > 0:
        return Stage(name="current", replicas=inputs.current)
    count = min(max(inputs.initial, inputs.policy.min), inputs.policy.max)
    return Stage(name="current", replicas=count, reason=f"none yet; the spec begins with {count}")


def _want(seen: situation.Situation, inputs: Inputs, stages: Sequence[Stage]) -> int | None:
    """What later evaluations stabilise by; of the first one at least the count it found."""
    wanted = stages[len(WANT)]  # while the rules are asked it stands behind the current count
    figure = wanted.replicas if wanted.name == _WANTED else None
    known = seen.known or seen.fallback.static is not None or seen.leading is not None
    if inputs.current == 0:
        return max(figure or 0, seen.current)
    return figure if known else None
