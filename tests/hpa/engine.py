"""Inputs for the engine, said in a line; and what an evaluation left at each stage."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from midstage.contracts.cluster import Phase
from midstage.contracts.policy import Policy, Rate, Targets
from midstage.contracts.scaling import (
    Changed,
    Evaluation,
    Inputs,
    LoadInput,
    PodInput,
    Wanted,
)
from midstage.testkit.clock import NOON

FREE = Rate(pods=1000, percent=10_000)


def policy(**changed: Any) -> Policy:
    """1 to 10 replicas, 10 in flight each, no windows, no limit to the rate."""
    return Policy(
        **{
            "min": 1,
            "max": 10,
            "targets": Targets(concurrency=10),
            "stabilise_down_s": 0,
            "up": FREE,
            "down": FREE,
            **changed,
        }
    )


def load(
    *, concurrency: float | None = None, requests_per_s: float | None = None, age_s: float = 1
) -> LoadInput:
    """What was carried, seen ``age_s`` ago."""
    at = NOON - timedelta(seconds=age_s)
    return LoadInput(
        until=None if requests_per_s is None else at,
        seconds=0 if requests_per_s is None else 15,
        requests_per_s=requests_per_s,
        gauged_until=None if concurrency is None else at,
        gauged_seconds=0 if concurrency is None else 15,
        concurrency=concurrency,
    )


def pods(
    ready: int,
    starting: int = 0,
    *,
    cpu: float | None = None,
    unmeasured: int = 0,
    age_s: float = 2,
    requested: float = 1.0,
) -> tuple[PodInput, ...]:
    """``ready`` pods that use ``cpu`` cores each, ``unmeasured`` more ready ones, and starting."""
    at = NOON - timedelta(seconds=age_s)
    return tuple(
        PodInput(
            name=f"pod-{number}",
            ready=number < ready + unmeasured,
            phase=Phase.RUNNING if number < ready + unmeasured else Phase.STARTING,
            started_at=NOON - timedelta(hours=1),
            cpu=cpu if number < ready else None,
            cpu_requested=requested,
            cpu_at=at if number < ready and cpu is not None else None,
        )
        for number in range(ready + unmeasured + starting)
    )


def warm(ready: int, starting: int = 0, *, since_s: float = 600) -> tuple[PodInput, ...]:
    """``ready`` pods that became so ``since_s`` ago, and starting ones; nothing of their use."""
    return tuple(
        PodInput(
            name=f"pod-{n}",
            ready=n < ready,
            ready_at=NOON - timedelta(seconds=since_s) if n < ready else None,
        )
        for n in range(ready + starting)
    )


def inputs(**changed: Any) -> Inputs:
    """4 replicas, all ready, a cluster that answers."""
    return Inputs(
        **{
            "app": "chat",
            "now": NOON,
            "policy": policy(),
            "spec_version": 1,
            "current": 4,
            "pods": pods(4),
            "cluster_at": NOON - timedelta(seconds=3),
            **changed,
        }
    )


def ago(seconds: float, replicas: int) -> Wanted:
    """An earlier want."""
    return Wanted(at=NOON - timedelta(seconds=seconds), replicas=replicas)


def changed(seconds: float, before: int, after: int) -> Changed:
    """An earlier change."""
    return Changed(at=NOON - timedelta(seconds=seconds), before=before, after=after)


def figures(evaluation: Evaluation) -> Mapping[str, int]:
    """The figure after each stage."""
    return {stage.name: stage.replicas for stage in evaluation.stages}


def why(evaluation: Evaluation, stage: str) -> str:
    """The reason that a stage left."""
    [reason] = [each.reason for each in evaluation.stages if each.name == stage]
    return reason
