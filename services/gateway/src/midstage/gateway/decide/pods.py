"""Which pods get requests: those that are ready and not about to end.

A pod that was ready once stays in sight, without new requests, until it is gone from its cluster;
one that never was gets in only as one that ends. Each answer follows from the pod's newest fact
alone, so a gateway that starts anew gives the same.
"""

from collections.abc import Iterable
from ipaddress import ip_address

from midstage.contracts.cluster import Phase, PodObserved
from midstage.contracts.errors import RefusedError
from midstage.gateway.decide.apps import endpoint
from midstage.gateway.model.apps import Endpoint, Homeless, Replica
from midstage.gateway.model.deployed import Pods

_LONGEST = 256
"""Names travel in each line of the request log."""


def pods(observed: Iterable[PodObserved]) -> Pods:
    """The pods of one application; one whose address makes no sense is left out alone."""
    replicas: dict[Endpoint, Replica] = {}
    homeless: list[Homeless] = []
    refused: list[str] = []
    for pod in sorted(observed, key=lambda pod: (pod.epoch, pod.resource_version, pod.name)):
        if not _concerns(pod):
            continue
        try:
            at = _address(pod)
        except RefusedError as e:
            if _ends(pod):
                homeless.append(_homeless(pod))
            if pod.address:
                refused.append(str(e))
            continue
        other = replicas.get(at)
        if other is not None:
            refused.append(f"pod {other.pod}: {at} is {pod.name}'s by now")
        replicas[at] = _replica(pod, at)
    return Pods(
        replicas=tuple(sorted(replicas.values(), key=lambda replica: str(replica.endpoint))),
        homeless=tuple(homeless),
        refused=tuple(refused),
    )


def _concerns(pod: PodObserved) -> bool:
    was_ready = pod.ready_at is not None or pod.phase is Phase.RUNNING
    return _serves(pod) or _ends(pod) or was_ready


def _serves(pod: PodObserved) -> bool:
    return _able(pod) and not pod.draining


def _able(pod: PodObserved) -> bool:
    return pod.ready and pod.phase in (Phase.STARTING, Phase.RUNNING)


def _ends(pod: PodObserved) -> bool:
    return pod.draining or pod.phase is Phase.STOPPING


def _address(pod: PodObserved) -> Endpoint:
    """Envoy takes no list of replicas with a name in it, so only numbers are addresses."""
    try:
        at = endpoint(pod.address)
        number = ip_address(at.host)
    except (RefusedError, ValueError) as e:
        raise RefusedError(f"pod {pod.name}: {pod.address[:_LONGEST]!r} is not IP:port") from e
    return Endpoint(host=str(number).partition("%")[0], port=at.port)


def _replica(pod: PodObserved, at: Endpoint) -> Replica:
    return Replica(
        endpoint=at,
        out=not _serves(pod),
        able=_able(pod),
        ending=_ends(pod),
        pod=pod.name,
        cluster=pod.cluster,
        revision=pod.revision[:_LONGEST],
        uid=pod.uid[:_LONGEST],
        resource_version=pod.resource_version,
    )


def _homeless(pod: PodObserved) -> Homeless:
    return Homeless(
        pod=pod.name,
        cluster=pod.cluster,
        revision=pod.revision[:_LONGEST],
        uid=pod.uid[:_LONGEST],
        resource_version=pod.resource_version,
    )
