"""The applications that the embedded platform runs, as specs that a person would apply.

``chat`` answers the trace of conversations, ``code`` that of code completion; both run the
stand-in for an LLM server. They scale by concurrency, in windows short enough for a replay of
minutes: decisions run on wall time, whatever the speed of the trace.
"""

from typing import Final

from midstage.contracts.apps import AppSpec, Resources, Routes
from midstage.contracts.limits import FailureRule
from midstage.contracts.policy import Policy, Rate, Targets

IMAGE: Final = "midstage/llm-stand-in:1"
ON_THROTTLE_FAILURE: Final = {"chat": FailureRule.OPEN, "code": FailureRule.CLOSED}
"""By application: what happens to its requests while throttle can't be asked."""
TIMEOUT_S = 600.0
LEAST, MOST = 2, 10
CONCURRENCY = 5.0
"""Requests that one replica should have in flight; it has 16 slots."""
COLD_START_S = 8.0


def of_trace(trace: str) -> str:
    """The application that a trace is replayed against."""
    return "code" if trace == "code" else "chat"


def spec(app: str, *, replicas: int) -> AppSpec:
    """What is asked for of ``app``, beginning with so many replicas."""
    return AppSpec(
        image=IMAGE,
        env={"MIDSTAGE_REPLICA_COLD_START_S": f"{COLD_START_S:g}"},
        resources=Resources(cpu=0.5, memory_mb=256),
        replicas=replicas,
        routes=Routes(
            prefix=f"/{app}",
            hosts=(f"{app}.localhost",),
            timeout_s=TIMEOUT_S,
            on_throttle_failure=ON_THROTTLE_FAILURE[app],
        ),
        scaling=Policy(
            min=min(LEAST, replicas),
            max=max(MOST, replicas),
            targets=Targets(concurrency=CONCURRENCY),
            window_s=6,
            stabilise_down_s=10.0,
            up=Rate(pods=4, percent=100.0, period_s=5.0),
            down=Rate(pods=4, percent=50.0, period_s=5.0),
        ),
        drain_s=60.0,
        grace_s=5.0,
    )
