"""What hpa decided: changes of replica counts, and every evaluation with all that it used.

``midstage.scaling.v1`` is a versioned log, keyed by application, read by deploy and data.
``midstage.evaluations.v1`` is a stream of every evaluation, changed or not. Both carry the inputs
and the offsets that were folded, so that each can be made again from itself, and from the topics.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from midstage.contracts.capacity import CapacityInput, Learned
from midstage.contracts.cluster import Phase
from midstage.contracts.fact import Fact, Name
from midstage.contracts.forecast import ForecastInput
from midstage.contracts.manual import ManualFact, Override, Pause
from midstage.contracts.policy import Policy

EVALUATION_MADE = "dev.midstage.evaluation.made.v1"

Count = Annotated[int, msgspec.Meta(ge=0)]


class Rule(StrEnum):
    """What proposes a count."""

    REQUESTS_PER_S = "requests/s"
    CONCURRENCY = "concurrency"
    CPU = "cpu"
    MEMORY = "memory"
    GPU = "gpu"
    GPU_MEMORY = "gpu memory"
    PODS = "pods"
    OBJECT = "object"
    EXTERNAL = "external"
    KNATIVE = "knative"
    SIGNAL = "signal"
    P99 = "p99"
    TTFT = "ttft p99"


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The base of the parts of an evaluation."""


class LoadInput(Part, frozen=True, kw_only=True):
    """What the replicas carried: means over the newest known seconds; None is unknown, never zero.

    ``requests_per_s``, without refused ones, over ``seconds`` complete seconds up to ``until``.
    ``concurrency`` (in flight and pending) over ``gauged_seconds`` seconds up to ``gauged_until``;
    it needs no complete seconds, so it is known earlier.
    """

    until: datetime | None = None
    seconds: Count = 0
    requests_per_s: float | None = None
    gauged_until: datetime | None = None
    gauged_seconds: Count = 0
    concurrency: float | None = None


class PodInput(Part, frozen=True, kw_only=True):
    """One pod that counts: ready, or still starting; what it uses is None where it is unknown.

    ``cpu`` in cores, ``memory_mb`` in MiB, ``gpu`` the share of its GPUs' time, ``gpu_memory_mb``
    of the ``gpu_memory_total_mb`` MiB that they have (UNSET: unknown), all measured at ``cpu_at``.
    ``started_at``: when it was made or began; ``ready_at``: when it became ready.
    """

    name: Name
    ready: bool
    cpu: float | None = None
    cpu_requested: float = 0.0
    cpu_at: datetime | None = None
    phase: Phase = Phase.RUNNING
    started_at: datetime | None = None
    ready_at: datetime | None = None
    memory_mb: float | None = None
    memory_requested_mb: Count = 0
    gpu: float | None = None
    gpus_requested: Count = 0
    gpu_memory_mb: float | msgspec.UnsetType = msgspec.UNSET
    gpu_memory_total_mb: float | msgspec.UnsetType = msgspec.UNSET


class Ticked(Part, frozen=True, kw_only=True):
    """A want of Knative's rule, by the number of the two seconds that it is of."""

    tick: int
    replicas: Count


class KnativeMemory(Part, frozen=True, kw_only=True, omit_defaults=True):
    """What Knative's rule remembers from one evaluation to the next.

    ``panic_since``: since when it only grows; ``most`` is the most it wanted since. ``maxima``:
    the wants of the delay, the newest last.
    """

    panic_since: datetime | None = None
    most: Count = 0
    maxima: tuple[Ticked, ...] = ()


class SignalInput(Part, frozen=True, kw_only=True, omit_defaults=True):
    """A custom or external metric, queue or lag: a ``value``, or one of each pod; None: unknown.

    ``series`` as in ``midstage.signals.v1``. Of a queue or lag, where they are known:
    ``arrived_per_s`` comes in, ``growth_per_s`` (below 0: it shrinks) and ``each_per_s`` is what
    one consumer was seen to do while work waited; ``partitions`` are those that a group reads.
    """

    rule: Rule
    name: Name
    value: float | None = None
    by_pod: dict[str, float] = {}
    observed_at: datetime
    series: str = ""
    source: str = ""
    partitions: Count = 0
    arrived_per_s: float | None = None
    growth_per_s: float | None = None
    each_per_s: float | None = None


class KnativeInput(Part, frozen=True, kw_only=True, omit_defaults=True):
    """What all replicas carried, as means of two windows up to ``until``; ``memory`` of before."""

    until: datetime | None = None
    stable: float | None = None
    panic: float | None = None
    memory: KnativeMemory | None = None


class Quota(Part, frozen=True, kw_only=True, omit_defaults=True):
    """The namespace has room for so many of its replicas, and what says so, ``observed_at``."""

    replicas: Count
    reason: str
    observed_at: datetime | None = None


class Wanted(Part, frozen=True, kw_only=True):
    """An earlier want, for stabilising."""

    at: datetime
    replicas: Count


class Changed(Part, frozen=True, kw_only=True):
    """An earlier change of the count, for limiting the rate; from 0: the first count."""

    at: datetime
    before: Count
    after: Count


class Inputs(Part, frozen=True, kw_only=True):
    """All that an evaluation used; ``current`` is the count in force (0: none decided yet).

    ``spec_version`` and ``scale_version`` are the versions of the application in
    ``midstage.apps.v1`` and ``midstage.scaling.v1`` that were folded; ``initial`` is the spec's
    count to begin with. ``cluster_at``: when the clusters that hold its pods were all reached;
    None: one is unreachable, or none ever was. ``wants``: of the earlier ones only the two that
    stabilising can need, the largest of the down window and the least of the up window.
    ``changes``: those within the policy's periods and its down window. ``signals``: those that the
    policy's metrics name. ``cold_start_s``: in that time nine of ten of its pods became ready;
    None: none that is known did. ``override``, ``pause``: what people ordered, where it holds at
    ``now``. ``quota``: None: none is known. ``forecast``: what the past says of now.
    ``capacity``: what the rule of latency goes by, where there is one.
    """

    app: Name
    now: datetime
    policy: Policy
    spec_version: Count
    current: Count
    load: LoadInput = LoadInput()
    pods: tuple[PodInput, ...] = ()
    cluster_at: datetime | None = None
    wants: tuple[Wanted, ...] = ()
    changes: tuple[Changed, ...] = ()
    scale_version: Count = 0
    initial: Count = 0
    signals: tuple[SignalInput, ...] = ()
    knative: KnativeInput | None = None
    cold_start_s: float | None = None
    override: Override | None = None
    pause: Pause | None = None
    quota: Quota | None = None
    forecast: ForecastInput | None = None
    capacity: CapacityInput | msgspec.UnsetType = msgspec.UNSET


class Proposal(Part, frozen=True, kw_only=True):
    """What one rule wants and why; ``want`` None: its input is missing or stale.

    ``carried``: by all replicas together, or, of a utilization, the used share of the request.
    ``exact``: so many replicas would carry it at their target, where the rule goes by totals;
    ``want`` is it rounded up, or the current count within the tolerance. ``ready_ratio``: what each
    ready replica carries, to the target; None: none is ready. ``name``: of a metric that has one.
    """

    rule: Rule
    name: str = ""
    carried: float | None = None
    target: float
    want: Count | None = None
    reason: str
    exact: float | None = None
    ready_ratio: float | None = None


class Stage(Part, frozen=True, kw_only=True, omit_defaults=True):
    """The figure after one step of the decision, and why it is that.

    ``condition``: what a HorizontalPodAutoscaler would say there, where it changed the figure.
    """

    name: str
    replicas: Count
    reason: str = ""
    condition: str = ""


class Evaluation(Part, frozen=True, kw_only=True):
    """One evaluation: inputs, each rule's proposal, each stage's figure, the count in the end.

    ``want`` is what later evaluations stabilise by; None: no rule had valid input. ``offsets`` is
    what had been folded of the streams, ``<topic>/<partition>`` to the next offset; ``engine`` the
    code that decided. ``memory``, ``learned``: what Knative's rule and that
    of latency leave to the next. The same inputs give the
    same bytes in all fields but ``engine`` and ``offsets``.
    """

    inputs: Inputs
    proposals: tuple[Proposal, ...] = ()
    stages: tuple[Stage, ...] = ()
    replicas: Count
    reason: str
    want: Count | None = None
    engine: str = ""
    offsets: dict[str, int] = {}
    memory: KnativeMemory | None = None
    learned: Learned | msgspec.UnsetType = msgspec.UNSET


class EvaluationMade(Fact, frozen=True, kw_only=True):
    """An evaluation was made; ``decided`` whether it changed the count.

    ``epoch`` is that in which its maker held the partition: of a partition, one of a lower epoch
    than one before it does not count.
    """

    app: Name
    evaluation: Evaluation
    decided: bool = False
    epoch: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET


class ScaleDecided(msgspec.Struct, frozen=True, kw_only=True, tag="ScaleDecided", tag_field="fact"):
    """From ``at`` on the application should have ``replicas``; ``previous`` before.

    ``load_at`` is the end of the newest load that was used, None where none was.
    """

    app: Name
    replicas: Annotated[int, msgspec.Meta(ge=1)]
    previous: Count
    reason: str
    at: datetime
    load_at: datetime | None = None
    evaluation: Evaluation


class ScalingRemoved(
    msgspec.Struct, frozen=True, kw_only=True, tag="ScalingRemoved", tag_field="fact"
):
    """The application scales no more: it is gone or its spec has no policy."""

    app: Name
    at: datetime
    reason: str = ""


ScalingFact = ScaleDecided | ScalingRemoved | ManualFact
