"""What a workload has to be before a cluster takes it. Pure."""

import math
import re
from typing import NoReturn

from midstage.cluster.objects import Workload
from midstage.cluster.protocol import ConflictError
from midstage.contracts.errors import RefusedError

MOST_REPLICAS = 1000
LONGEST_GRACE_S = 3600.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check(workload: Workload) -> None:
    """RefusedError (422) that names the field, where the workload can't be."""
    template, needs = workload.template, workload.template.requests
    if not _NAME.fullmatch(workload.name):
        raise RefusedError(
            f"name: {workload.name!r} is not 1 to 63 of a-z, 0-9 and -, a letter or digit at ends"
        )
    if not 0 <= workload.replicas <= MOST_REPLICAS:
        raise RefusedError(f"replicas: {workload.replicas} is not 0 to {MOST_REPLICAS}")
    if not template.image and not template.command:
        raise RefusedError("template: neither image nor command says what to run")
    if not 0 <= template.grace_s <= LONGEST_GRACE_S:
        raise RefusedError(f"template.grace_s: {template.grace_s} is not 0 to {LONGEST_GRACE_S}")
    if not (math.isfinite(needs.cpu) and min(needs.cpu, needs.memory_mb, needs.gpus) >= 0):
        raise RefusedError("template.requests: an amount is below nothing")


def refuse_adoption(known: Workload | None, name: str) -> NoReturn:
    """RefusedError where nobody else can make workloads: what is there is ours, or nothing is."""
    if known is None:
        raise RefusedError(f"there is no workload {name}", status=404)
    raise RefusedError(f"workload {name} is application {known.app}'s already", status=409)


def expect(known: Workload | None, name: str, expected: int) -> None:
    """ConflictError unless the workload is the one that the writer has seen."""
    actual = known.resource_version if known else 0
    if actual != expected:
        is_now = f"is at resource version {actual}" if known else "is not there"
        raise ConflictError(f"workload {name} {is_now}, not {expected}: read again")


def refuse_another(known: Workload, wanted: Workload) -> None:
    """RefusedError where what is there is not the writer's."""
    owners = {(each.namespace, each.app, each.revision) for each in (known, wanted)}
    if len(owners) > 1:
        raise RefusedError(f"{wanted.name} is another application's, revision's or namespace")


def refuse_older(known: Workload, wanted: Workload) -> None:
    """ConflictError where the writer carries out older versions of the logs than is there."""
    for what, there, given in (
        ("spec", known.spec_version, wanted.spec_version),
        ("scale", known.scale_version, wanted.scale_version),
    ):
        if there > given:
            raise ConflictError(
                f"workload {known.name} carries out {what} version {there}, not {given}: read again"
            )
