"""What pods take of a quota, by the names that Kubernetes has for it.

Memory and GPUs that a pod requests are its limits, too; for cores it has none.
"""

from collections.abc import Collection, Iterable
from typing import Final

from midstage.contracts.cluster import Amount

_MIB: Final = 1024 * 1024
_GPU: Final = "nvidia.com/gpu"


def taken(amount: Amount) -> dict[str, float]:
    """What one pod that requests ``amount`` takes: cores, bytes, GPUs, pieces."""
    memory, gpus = float(amount.memory_mb * _MIB), float(amount.gpus)
    return {
        "pods": 1.0,
        "count/pods": 1.0,
        "cpu": amount.cpu,
        "requests.cpu": amount.cpu,
        "memory": memory,
        "requests.memory": memory,
        "limits.memory": memory,
        f"requests.{_GPU}": gpus,
        f"limits.{_GPU}": gpus,
    }


def taken_by(pods: Iterable[Amount], names: Collection[str]) -> dict[str, float]:
    """What ``pods`` take together, by ``names``; 0 of what no pod takes."""
    each = [taken(amount) for amount in pods]
    return {name: sum(one.get(name, 0.0) for one in each) for name in names}
