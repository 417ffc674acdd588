"""The real process on a real Kafka: killed while it takes a body, whose sender then tries again."""

import json
import uuid

import httpx
import pytest

from midstage.contracts.requests import REQUEST_COMPLETED
from midstage.testkit.kill import ordered
from midstage.testkit.waiting import within
from tests import patient

from .test_process import DEADLINE_S, Running, stats

__all__ = ["stats"]

pytestmark = [pytest.mark.platform, pytest.mark.slow]

MANY = "application/cloudevents-batch+json"
EVENTS = 50


def batch(prefix: str) -> bytes:
    return json.dumps(
        [
            {
                "specversion": "1.0",
                "id": f"{prefix}{number}",
                "source": "jobs/1",
                "type": REQUEST_COMPLETED,
                "time": "2026-01-01T12:00:00Z",
                "data": {
                    "app": "chat",
                    "customer": "acme",
                    "status": 200,
                    "outcome": "ok",
                    "duration_ms": 1,
                    "ref": f"{prefix}{number}",
                },
            }
            for number in range(EVENTS)
        ]
    ).encode()


def post(stats: Running, body: bytes) -> int | None:
    """The answer's status, None where there was no answer."""
    headers = {"content-type": MANY, "authorization": "Bearer secret"}
    try:
        answer = patient.post(
            f"http://127.0.0.1:{stats.port}/v1/events", content=body, headers=headers
        )
    except httpx.TransportError:
        return None
    return answer.status_code


def counted(stats: Running, prefix: str) -> list[str]:
    asked = f"http://127.0.0.1:{stats.port}/v1/requests"
    query = {"ref_prefix": prefix, "limit": "1000"}
    headers = {"authorization": "Bearer secret"}
    rows = patient.get(asked, params=query, headers=headers).json()["requests"]
    return [str(row["ref"]) for row in rows]


@pytest.mark.parametrize("place", ["ingest:sent", "ingest:acknowledged"])
def test_killed_before_it_answers_it_claims_nothing_and_the_retry_counts_once(
    stats: Running, place: str
) -> None:
    prefix = f"{uuid.uuid4().hex}-"
    order = stats.directory / "order"
    killing = ("midstage.testkit.kill", "--order", str(order))
    with stats.process(*killing, "midstage.stats.main") as process:
        within(DEADLINE_S, stats.answers)
        ordered(order, place, nth=1)
        assert post(stats, batch(prefix)) is None
        assert process.wait(DEADLINE_S) == -9
    with stats.process(*killing, "midstage.stats.main"):
        within(DEADLINE_S, lambda: post(stats, batch(prefix)) == 204)
        within(DEADLINE_S, lambda: len(counted(stats, prefix)) >= EVENTS)
        assert post(stats, batch(prefix)) == 204
        after = f"{uuid.uuid4().hex}-"
        assert post(stats, batch(after)) == 204  # of the same source, so it comes behind
        within(DEADLINE_S, lambda: len(counted(stats, after)) == EVENTS)
        assert len(counted(stats, prefix)) == len(set(counted(stats, prefix))) == EVENTS
