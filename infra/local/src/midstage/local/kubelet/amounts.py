"""Quantities as Kubernetes writes them: cores, bytes, whole GPUs. Pure."""

import math
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction

from midstage.contracts.cluster import Amount
from midstage.local.kubelet.shapes import Pod

GPU = "nvidia.com/gpu"
_MIB = 1024 * 1024
_QUANTITY = re.compile(r"([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i)?)")
_SUFFIX: Mapping[str, Fraction] = {
    **{unit: Fraction(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Fraction(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
    **{unit: Fraction(1, 1000**power) for power, unit in enumerate("mun", start=1)},
}


def number(quantity: str) -> Fraction:
    """The number that a quantity is; ValueError where it is none."""
    if (found := _QUANTITY.fullmatch(quantity)) is None:
        raise ValueError(f"{quantity!r} is no quantity")
    if found[2]:
        return Fraction(found[1] + found[2])
    return Fraction(found[1]) * _SUFFIX.get(found[3] or "", Fraction(1))


def resources(amount: Amount, *, pods: int) -> dict[str, str]:
    """A node's capacity."""
    return {
        "cpu": f"{round(amount.cpu * 1000)}m",
        "memory": f"{round(amount.memory_mb)}Mi",
        "ephemeral-storage": "100Gi",
        "pods": str(pods),
        GPU: str(round(amount.gpus)),
    }


def requested(pods: Iterable[Pod]) -> Amount:
    """What the containers of ``pods`` ask for together."""
    asked = [each.resources.requests for pod in pods for each in pod.spec.containers]
    return Amount(
        cpu=float(sum(number(each.get("cpu", "0")) for each in asked)),
        memory_mb=math.ceil(sum(number(each.get("memory", "0")) for each in asked) / _MIB),
        gpus=math.ceil(sum(number(each.get(GPU, "0")) for each in asked)),
    )
