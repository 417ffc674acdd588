"""What each rule of a policy proposes, in replicas; a rule without valid input proposes None."""

from collections.abc import Iterator

from msgspec import UNSET, UnsetType

from midstage.contracts.capacity import Learned
from midstage.contracts.policy import Targets
from midstage.contracts.scaling import Inputs, KnativeMemory, Proposal
from midstage.hpa.decide.rules.knative import knative
from midstage.hpa.decide.rules.latency import latency
from midstage.hpa.decide.rules.metrics import metrics
from midstage.hpa.decide.rules.resources import GPU_MEMORY, used
from midstage.hpa.decide.rules.signals import signals
from midstage.hpa.decide.rules.totals import concurrency, requests_per_s


def proposals(
    inputs: Inputs, current: int, learned: Learned | UnsetType = UNSET
) -> tuple[tuple[Proposal, ...], KnativeMemory | None]:
    """One proposal for each rule, and what Knative's leaves to remember.

    ``current`` replicas are there or coming; ``learned`` is what each was seen to carry.
    """
    policy = inputs.policy
    proposed = list(_by_targets(inputs, policy.targets, current))
    if policy.metrics:
        proposed.extend(metrics(inputs, current))
    if policy.signals:
        proposed.extend(signals(inputs, current))
    if policy.latency is not None:
        proposed.extend(latency(inputs, current, learned))
    memory = None
    if policy.knative is not None:
        proposal, memory = knative(inputs, policy.knative)
        proposed.append(proposal)
    return tuple(proposed), memory


def _by_targets(inputs: Inputs, targets: Targets, current: int) -> Iterator[Proposal]:
    if targets.requests_per_s is not None:
        yield requests_per_s(inputs, targets.requests_per_s, current)
    if targets.concurrency is not None:
        yield concurrency(inputs, targets.concurrency, current)
    if targets.cpu is not None:
        yield used(inputs, "cpu", targets.cpu, current)
    if targets.memory is not None:
        yield used(inputs, "memory", targets.memory, current)
    if targets.gpu is not None:
        yield used(inputs, "nvidia.com/gpu", targets.gpu, current)
    if targets.gpu_memory is not None:
        yield used(inputs, GPU_MEMORY, targets.gpu_memory, current)
