"""One example of each fact of clusters and of routes, as golden files pin them."""

from datetime import timedelta

from midstage.contracts.apps import Toleration
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
    Amount,
    ClusterReached,
    ClusterUnreachable,
    EndpointsObserved,
    EndpointState,
    Kind,
    NodeObserved,
    NodeUsed,
    ObjectGone,
    Phase,
    PodObserved,
    PodUsed,
    QuotaUsed,
    Taint,
    WorkloadObserved,
)
from midstage.contracts.fact import Event, Fact
from midstage.contracts.routes import ROUTES_APPLIED, Endpoint, RoutesApplied, Way
from midstage.contracts.topics import CLUSTER, ROUTES, Topic

from .examples import NOON, Events

POD = "chat-0123456789-0"


def observed(event_type: str, fact: Fact) -> tuple[Topic, Event[Fact]]:
    event = Event(
        id="local/7/42", source="control/local", type=event_type, time=NOON, subject=POD, data=fact
    )
    return CLUSTER, event


EVENTS: Events = {
    "node-observed": observed(
        NODE_OBSERVED,
        NodeObserved(
            cluster="local",
            name="gpu-1",
            epoch=7,
            observed_at=NOON,
            uid="node-1",
            resource_version=42,
            ready=False,
            schedulable=False,
            reason="no heartbeat",
            capacity=Amount(cpu=8.0, memory_mb=32_768, gpus=2),
            labels={"midstage.dev/pool": "gpu"},
            taints=(Taint(key="gpu", value="yes"),),
        ),
    ),
    "node-observed-emptied": observed(
        NODE_OBSERVED,
        NodeObserved(
            cluster="local",
            name="gpu-1",
            epoch=7,
            observed_at=NOON,
            ready=True,
            schedulable=False,
            emptied=True,
            capacity=Amount(cpu=8, memory_mb=8192, gpus=1),
        ),
    ),
    "pod-observed-full": observed(
        POD_OBSERVED,
        PodObserved(
            cluster="local",
            namespace="default",
            name=POD,
            epoch=7,
            observed_at=NOON,
            uid="pod-1",
            resource_version=42,
            app="chat",
            revision="0123456789",
            workload="chat-0123456789",
            node="gpu-1",
            phase=Phase.BACKOFF,
            ready=False,
            draining=True,
            address="127.0.0.1:9000",
            reason="crashed",
            message="exit code 1: no model",
            restarts=3,
            exit_code=1,
            requests=Amount(cpu=2.5, memory_mb=4096, gpus=1),
            created_at=NOON,
            started_at=NOON,
            ready_at=NOON + timedelta(seconds=2),
        ),
    ),
    "pod-observed-minimal": observed(
        POD_OBSERVED,
        PodObserved(
            cluster="local",
            name=POD,
            epoch=0,
            observed_at=NOON,
            phase=Phase.PENDING,
            created_at=NOON,
        ),
    ),
    "pod-observed-waiting": observed(
        POD_OBSERVED,
        PodObserved(
            cluster="local",
            name=POD,
            epoch=0,
            observed_at=NOON,
            phase=Phase.PENDING,
            reason="Unschedulable",
            created_at=NOON,
            node_selector={"midstage.dev/pool": "gpu"},
            tolerations=(Toleration(key="dedicated", value="batch"),),
        ),
    ),
    "pod-observed-prioritised": observed(
        POD_OBSERVED,
        PodObserved(
            cluster="local",
            name=POD,
            epoch=0,
            observed_at=NOON,
            phase=Phase.RUNNING,
            created_at=NOON,
            priority=-5,
            priority_class="batch",
            preempts=False,
        ),
    ),
    "workload-observed": observed(
        WORKLOAD_OBSERVED,
        WorkloadObserved(
            cluster="local",
            namespace="default",
            name="chat-0123456789",
            epoch=7,
            observed_at=NOON,
            uid="workload-1",
            resource_version=41,
            app="chat",
            revision="0123456789",
            replicas=3,
            ready=2,
            spec_version=4,
            scale_version=9,
        ),
    ),
    "workload-observed-drifted": observed(
        WORKLOAD_OBSERVED,
        WorkloadObserved(
            cluster="local",
            namespace="default",
            name="chat-0123456789",
            epoch=7,
            observed_at=NOON,
            uid="workload-1",
            resource_version=41,
            app="chat",
            revision="0123456789",
            replicas=3,
            ready=2,
            spec_version=4,
            scale_version=9,
            drift=("kubectl-edit: spec.template.spec.containers",),
        ),
    ),
    "endpoints-observed": observed(
        ENDPOINTS_OBSERVED,
        EndpointsObserved(
            cluster="local",
            namespace="default",
            name="chat-x7k2p",
            epoch=7,
            observed_at=NOON,
            uid="slice-1",
            resource_version=42,
            app="chat",
            service="chat",
            endpoints=(
                EndpointState(
                    address="10.1.2.3:8080", ready=True, serving=True, pod=POD, node="gpu-1"
                ),
                EndpointState(
                    address="10.1.2.4:8080",
                    serving=True,
                    terminating=True,
                    pod="chat-0123456789-1",
                    node="cpu-1",
                ),
            ),
        ),
    ),
    "object-gone": observed(
        OBJECT_GONE,
        ObjectGone(
            cluster="local",
            namespace="default",
            name=POD,
            epoch=7,
            observed_at=NOON,
            uid="pod-1",
            resource_version=43,
            kind=Kind.POD,
            app="chat",
        ),
    ),
    "pod-used": observed(
        POD_USED,
        PodUsed(
            cluster="local",
            namespace="default",
            name=POD,
            epoch=7,
            observed_at=NOON,
            uid="pod-1",
            app="chat",
            cpu=1.25,
            memory_mb=812.5,
            gpu=0.75,
        ),
    ),
    "node-used": observed(
        NODE_USED,
        NodeUsed(
            cluster="local", name="cpu-1", epoch=7, observed_at=NOON, cpu=3.5, memory_mb=2048.0
        ),
    ),
    "pod-used-gpu-memory": observed(
        POD_USED,
        PodUsed(
            cluster="local",
            namespace="default",
            name=POD,
            epoch=7,
            observed_at=NOON,
            app="chat",
            cpu=1.25,
            memory_mb=812.5,
            gpu=0.75,
            gpu_memory_mb=61_324.0,
            gpu_memory_total_mb=81_000.0,
        ),
    ),
    "node-used-gpu-memory": observed(
        NODE_USED,
        NodeUsed(
            cluster="local",
            name="gpu-1",
            epoch=7,
            observed_at=NOON,
            cpu=3.5,
            memory_mb=2048.0,
            gpu=0.5,
            gpu_memory_mb=61_324.0,
            gpu_memory_total_mb=162_000.0,
        ),
    ),
    "quota-used": observed(
        QUOTA_USED,
        QuotaUsed(
            cluster="local",
            namespace="default",
            name="team-a",
            epoch=7,
            observed_at=NOON,
            hard={"pods": 20.0, "requests.cpu": 12.5, "requests.nvidia.com/gpu": 8.0},
            used={"pods": 4.0, "requests.cpu": 2.5, "requests.nvidia.com/gpu": 2.0},
        ),
    ),
    "cluster-reached": observed(
        CLUSTER_REACHED,
        ClusterReached(cluster="local", name="local", epoch=7, observed_at=NOON, objects=12),
    ),
    "cluster-unreachable": observed(
        CLUSTER_UNREACHABLE,
        ClusterUnreachable(
            cluster="local",
            name="local",
            epoch=7,
            observed_at=NOON,
            since=NOON - timedelta(seconds=5),
            reason="connection refused",
        ),
    ),
    "routes-applied": (
        ROUTES,
        Event(
            id="edge-1/chat/9",
            source="gateway/edge-1",
            type=ROUTES_APPLIED,
            time=NOON,
            subject="chat",
            data=RoutesApplied(
                edge="edge-1",
                app="chat",
                at=NOON,
                spec_version=4,
                prefix="/chat",
                hosts=("chat.example",),
                endpoints=(
                    Endpoint(
                        pod=POD,
                        address="127.0.0.1:9000",
                        way=Way.DRAINING,
                        active=2,
                        cluster="local",
                        revision="0123456789",
                        uid="pod-1",
                        resource_version=42,
                    ),
                    Endpoint(pod="chat-0123456789-1", address="127.0.0.1:9001", way=Way.SERVING),
                ),
            ),
        ),
    ),
}
