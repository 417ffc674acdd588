"""Every topic, once: name, key, writer, readers, partitions, retention, facts.

The topics on the broker are created from this table, and ``docs/topics.md`` is generated from it.
Names are ``midstage.<plural-noun>.v<N>``; a topic is here only when something writes it.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from midstage.contracts.alarms import AlarmFact
from midstage.contracts.apps import AppFact
from midstage.contracts.audit import QUERIED, Queried
from midstage.contracts.billing import BillingFact
from midstage.contracts.cluster import (
    CLUSTER_REACHED,
    CLUSTER_UNREACHABLE,
    ENDPOINTS_OBSERVED,
    NODE_OBSERVED,
    NODE_USED,
    OBJECT_GONE,
    POD_OBSERVED,
    POD_USED,
    QUOTA_USED,
    WORKLOAD_OBSERVED,
    ClusterReached,
    ClusterUnreachable,
    EndpointsObserved,
    NodeObserved,
    NodeUsed,
    ObjectGone,
    PodObserved,
    PodUsed,
    QuotaUsed,
    WorkloadObserved,
)
from midstage.contracts.edges import SOURCE_BEAT, SOURCE_CLOSED, SourceBeat, SourceClosed
from midstage.contracts.fact import Fact
from midstage.contracts.limits import LimitFact
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.contracts.members import MEMBER_LEFT, MEMBER_SEEN, MemberLeft, MemberSeen
from midstage.contracts.metered import METERED, Metered
from midstage.contracts.peaks import PEAKS_OBSERVED, PeaksObserved
from midstage.contracts.requests import REQUEST_COMPLETED, RequestCompleted
from midstage.contracts.routes import ROUTES_APPLIED, RoutesApplied
from midstage.contracts.scaling import EVALUATION_MADE, EvaluationMade, ScalingFact
from midstage.contracts.signals import SIGNAL_OBSERVED, SignalObserved
from midstage.contracts.spends import (
    CUSTOMERS_LEFT,
    CUSTOMERS_TAKEN,
    CUSTOMERS_WANTED,
    RESERVATIONS_LEFT,
    ROOM_TAKEN,
    CustomersLeft,
    CustomersTaken,
    CustomersWanted,
    ReservationsLeft,
    RoomTaken,
)
from midstage.contracts.usage import (
    USAGE_ENDED,
    USAGE_OBSERVED,
    UsageMinuteEnded,
    UsageObserved,
)

MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""The broker takes messages up to this size."""
DEAD_LETTER_BYTES: Final = 5 * 1024 * 1024
"""Dead letters are larger: the original and the reason."""
EVENT_BYTES: Final = 1024 * 1024
"""A reader refuses one event above this size."""


class Kind(StrEnum):
    """A stream carries observations, a versioned log carries decisions."""

    STREAM = "stream"
    VERSIONED = "versioned log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic; ``kept`` None means for ever. ``facts`` maps an event type to its struct.

    ``refusers`` put what they can't read, or can't make a fact of, into dead letters of their own.
    For a versioned log ``facts`` is empty and ``union`` is the tagged union of its facts. Of a
    ``compacted`` stream the broker keeps the newest record of each key: for ever, or, where it
    has ``kept``, until so long after it was written. The processes that write a ``shared``
    versioned log take its partitions, and each decides the keys of its own.
    """

    name: str
    kind: Kind
    key: str
    writer: str
    readers: tuple[str, ...]
    partitions: int
    kept: timedelta | None
    about: str
    refusers: tuple[str, ...] = ()
    facts: tuple[tuple[str, type[Fact]], ...] = ()
    union: object = None
    compacted: bool = False
    shared: bool = False

    def dead_letters(self, refuser: str) -> str:
        """The name of the topic that takes what ``refuser`` could not read."""
        return f"{self.name}.{refuser}.dlq"

    @property
    def snapshots(self) -> str:
        """The name of the compacted topic with the snapshots of this versioned log."""
        return f"{self.name}.snapshot"

    @property
    def appended(self) -> str:
        """The event type of a versioned log's records."""
        noun = self.name.removeprefix("midstage.")
        return f"dev.midstage.{noun}.appended"

    @property
    def taken(self) -> str:
        """The event type by which a process takes a partition of this versioned log."""
        return f"{self.appended.removesuffix('appended')}taken"


REQUESTS = Topic(
    name="midstage.requests.v1",
    kind=Kind.STREAM,
    key="source",
    writer="the edges: gateway, SDK, HTTP ingest",
    readers=("stats", "data", "throttle"),
    partitions=12,
    kept=timedelta(days=7),
    about="One fact per request, at its end; and what was used without a request.",
    refusers=("stats", "gateway", "data"),
    facts=((REQUEST_COMPLETED, RequestCompleted), (METERED, Metered)),
)
EDGES = Topic(
    name="midstage.edges.v1",
    kind=Kind.STREAM,
    key="source",
    writer="the edges: gateway",
    readers=("stats", "deploy"),
    partitions=12,
    kept=timedelta(days=7),
    about="Each source's heartbeat, each second: highest number, completeness, what is in flight.",
    refusers=("stats",),
    facts=((SOURCE_BEAT, SourceBeat), (SOURCE_CLOSED, SourceClosed)),
)
LOAD = Topic(
    name="midstage.load.v1",
    kind=Kind.STREAM,
    key="application",
    writer="stats",
    readers=("hpa", "people's own consumers"),
    partitions=12,
    kept=timedelta(days=7),
    about="What each application carried, each second.",
    facts=((LOAD_OBSERVED, LoadObserved),),
)
SIGNALS = Topic(
    name="midstage.signals.v1",
    kind=Kind.STREAM,
    key="application",
    writer="control",
    readers=("hpa", "control", "people's own consumers"),
    partitions=6,
    kept=timedelta(days=7),
    about="Queues, consumer lags, custom and external metrics of each application.",
    facts=((SIGNAL_OBSERVED, SignalObserved),),
)
USAGE = Topic(
    name="midstage.usage.v1",
    kind=Kind.STREAM,
    key="customer",
    writer="stats",
    readers=("people's own consumers",),
    partitions=12,
    kept=timedelta(days=90),
    about="What each customer used, each minute, again when late events change it.",
    facts=((USAGE_OBSERVED, UsageObserved), (USAGE_ENDED, UsageMinuteEnded)),
)
LIMITS = Topic(
    name="midstage.limits.v1",
    kind=Kind.VERSIONED,
    key="limit/…, customer/…",
    writer="throttle",
    readers=("throttle",),
    partitions=6,
    kept=None,
    about="What each customer may use, and who is on which plan.",
    union=LimitFact,
)

_CLUSTER_FACTS: Final = (
    (NODE_OBSERVED, NodeObserved),
    (POD_OBSERVED, PodObserved),
    (WORKLOAD_OBSERVED, WorkloadObserved),
    (ENDPOINTS_OBSERVED, EndpointsObserved),
    (OBJECT_GONE, ObjectGone),
    (POD_USED, PodUsed),
    (NODE_USED, NodeUsed),
    (QUOTA_USED, QuotaUsed),
    (CLUSTER_REACHED, ClusterReached),
    (CLUSTER_UNREACHABLE, ClusterUnreachable),
)
APPS = Topic(
    name="midstage.apps.v1",
    kind=Kind.VERSIONED,
    key="application",
    writer="deploy",
    readers=("deploy", "control", "hpa", "gateway", "stats"),
    partitions=6,
    kept=None,
    about="What teams want to run, and how each rollout ended.",
    union=AppFact,
)
CLUSTER = Topic(
    name="midstage.cluster.v1",
    kind=Kind.STREAM,
    key="cluster/kind/namespace/name",
    writer="control",
    readers=("deploy", "hpa", "gateway"),
    partitions=6,
    kept=timedelta(days=90),
    about="Each change of the clusters' nodes, pods and workloads, what they use, and quotas.",
    facts=_CLUSTER_FACTS,
)
INVENTORY = Topic(
    name="midstage.inventory.v1",
    kind=Kind.STREAM,
    key="cluster/kind/namespace/name",
    writer="control",
    readers=("control", "deploy", "hpa", "gateway"),
    partitions=6,
    kept=None,
    about="The newest state of each thing in the clusters, for whoever starts.",
    facts=_CLUSTER_FACTS,
    compacted=True,
)
SCALING = Topic(
    name="midstage.scaling.v1",
    kind=Kind.VERSIONED,
    key="application",
    writer="hpa",
    readers=("hpa", "deploy"),
    partitions=6,
    kept=None,
    about="Changes of replica counts, each with all that it was decided from.",
    union=ScalingFact,
    shared=True,
)
EVALUATIONS = Topic(
    name="midstage.evaluations.v1",
    kind=Kind.STREAM,
    key="application",
    writer="hpa",
    readers=("hpa", "people's own consumers"),
    partitions=6,
    kept=timedelta(days=7),
    about="Every evaluation of a scaling policy, with its inputs and offsets.",
    facts=((EVALUATION_MADE, EvaluationMade),),
)
ALARMS = Topic(
    name="midstage.alarms.v1",
    kind=Kind.VERSIONED,
    key="application",
    writer="hpa",
    readers=("hpa", "people's own consumers"),
    partitions=6,
    kept=None,
    about="What is wrong with an application's scaling: raised once, cleared once.",
    union=AlarmFact,
    shared=True,
)
PEAKS = Topic(
    name="midstage.peaks.v1",
    kind=Kind.STREAM,
    key="application/measure/day",
    writer="hpa",
    readers=("hpa", "people's own consumers"),
    partitions=6,
    kept=timedelta(days=17),
    about="What applications with a forecast carried at most in each five minutes, day by day.",
    facts=((PEAKS_OBSERVED, PeaksObserved),),
    compacted=True,
)
ROUTES = Topic(
    name="midstage.routes.v1",
    kind=Kind.STREAM,
    key="application",
    writer="gateway",
    readers=("deploy",),
    partitions=6,
    kept=timedelta(days=90),
    about="Which pods each edge sends requests to, and which are drained.",
    facts=((ROUTES_APPLIED, RoutesApplied),),
)
BILLING = Topic(
    name="midstage.billing.v1",
    kind=Kind.VERSIONED,
    key="source/…, period/…",
    writer="stats",
    readers=("stats", "people's own consumers"),
    partitions=6,
    kept=None,
    about="What is missing, the statement of each closed period, and what came late for it.",
    union=BillingFact,
)
AUDIT = Topic(
    name="midstage.audit.v1",
    kind=Kind.STREAM,
    key="actor",
    writer="every API that is asked about customers or takes orders of scaling: stats, hpa, deploy",
    readers=("people's own consumers",),
    partitions=6,
    kept=timedelta(days=365),
    about="Who asked what, and what they were answered with.",
    facts=((QUERIED, Queried),),
)
MEMBERS = Topic(
    name="midstage.members.v1",
    kind=Kind.STREAM,
    key="service/member",
    writer="each process of a service whose processes share its work: hpa",
    readers=("hpa",),
    partitions=6,
    kept=timedelta(days=1),
    about="Which processes of a service are there to share its work.",
    facts=((MEMBER_SEEN, MemberSeen), (MEMBER_LEFT, MemberLeft)),
)
SPENDS = Topic(
    name="midstage.spends.v1",
    kind=Kind.STREAM,
    key="limit, customer, API key",
    writer="throttle",
    readers=("throttle",),
    partitions=6,
    kept=None,
    about="What customers may have spent of their limits, and who counts for them.",
    facts=(
        (ROOM_TAKEN, RoomTaken),
        (CUSTOMERS_TAKEN, CustomersTaken),
        (CUSTOMERS_LEFT, CustomersLeft),
        (RESERVATIONS_LEFT, ReservationsLeft),
        (CUSTOMERS_WANTED, CustomersWanted),
    ),
    compacted=True,
)

TOPICS: Final = (
    *(REQUESTS, EDGES, LOAD, SIGNALS, USAGE, LIMITS, APPS, CLUSTER),
    *(INVENTORY, SCALING, EVALUATIONS, ALARMS, PEAKS, ROUTES, BILLING, AUDIT, MEMBERS),
    SPENDS,
)
