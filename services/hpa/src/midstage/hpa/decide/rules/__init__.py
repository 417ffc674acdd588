"""What each rule of a policy proposes, in replicas; a rule without valid input proposes None."""

from msgspec import UNSET, UnsetType

from midstage.contracts.capacity import Learned
from midstage.contracts.scaling import Inputs, KnativeMemory, Proposal
from midstage.hpa.decide.rules.knative import knative
from midstage.hpa.decide.rules.latency import latency
from midstage.hpa.decide.rules.metrics import metrics
from midstage.hpa.decide.rules.resources import used
from midstage.hpa.decide.rules.signals import signals
from midstage.hpa.decide.rules.totals import concurrency, requests_per_s


def proposals(
    inputs: Inputs, current: int, learned: Learned | UnsetType = UNSET
) -> tuple[tuple[Proposal, ...], KnativeMemory | None]:
    """One proposal for each rule, and what Knative's leaves to remember.

    ``current`` replicas are there or coming; ``learned`` is what each was seen to carry.
    """
    targets = inputs.policy.targets
    proposed: list[Proposal] = []
    if targets.requests_per_s is not None:
        proposed.append(requests_per_s(inputs, targets.requests_per_s, current))
    if targets.concurrency is not None:
        proposed.append(concurrency(inputs, targets.concurrency, current))
    for resource, share in (
        ("cpu", targets.cpu),
        ("memory", targets.memory),
        ("nvidia.com/gpu", targets.gpu),
    ):
        if share is not None:
            proposed.append(used(inputs, resource, share, current))
    if inputs.policy.metrics:
        proposed.extend(metrics(inputs, current))
    if inputs.policy.signals:
        proposed.extend(signals(inputs, current))
    if inputs.policy.latency is not None:
        proposed.extend(latency(inputs, current, learned))
    memory = None
    if inputs.policy.knative is not None:
        proposal, memory = knative(inputs, inputs.policy.knative)
        proposed.append(proposal)
    return tuple(proposed), memory
