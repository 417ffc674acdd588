"""The real process on a real Kafka: a flood of dead letters, huge ones among them; no Kafka."""

import base64
import uuid
from typing import Any, NamedTuple

import httpx
import pytest

from midstage.contracts.topics import EVENT_BYTES
from midstage.eventlog.log import Message
from midstage.stats.api.dead_letters import PATH
from midstage.testkit.waiting import within
from tests import patient
from tests.ports import free_port

from .test_process import DEADLINE_S, TOPICS, Running, send, stats

__all__ = ["stats"]

pytestmark = [pytest.mark.platform, pytest.mark.slow]

FLOOD = 3_000
HUGE = EVENT_BYTES * 3


class Letter(NamedTuple):
    """What a test looks at."""

    id: str
    reason: str
    bytes: int
    excerpt: str


def look(stats: Running, path: str = "", **query: str) -> httpx.Response:
    url = f"http://127.0.0.1:{stats.port}{PATH}{path}"
    answer: httpx.Response = patient.get(
        url, params=query, headers={"authorization": "Bearer secret"}
    )
    return answer


def looked(stats: Running, path: str = "", **query: str) -> dict[str, Any]:
    """What is answered; a busy machine may not read the last of them within 5 s."""
    [answer] = within(
        DEADLINE_S,
        lambda: [one for one in [look(stats, path, **query)] if one.status_code != 503],
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def letters(stats: Running, source: str) -> list[Letter]:
    """Of this source, through all pages."""
    found: list[Letter] = []
    before = dict[str, str]()
    while True:
        page = looked(stats, source=source, refuser="stats", limit="1000", **before)
        found += [Letter(*(one[name] for name in Letter._fields)) for one in page["dead_letters"]]
        if page["next"] is None:
            return found
        before = {"before": page["next"]}


def test_a_flood_and_huge_ones_are_looked_at_page_by_page(stats: Running) -> None:
    source = f"flood/{uuid.uuid4().hex}"

    def said(value: bytes) -> Message:
        return Message(topic=TOPICS.requests.name, key=source.encode(), value=value)

    huge = [said(b"%d " % number + b"x" * HUGE) for number in range(5)]
    with stats.process("midstage.stats.main"):
        within(DEADLINE_S, stats.answers)
        send(stats.kafka, [said(b"%d {\x1b[2J" % number) for number in range(FLOOD)])
        send(stats.kafka, huge)
        within(DEADLINE_S, lambda: _newest_of(stats, source).startswith("4 x"))
        found = letters(stats, source)
        assert [one.bytes for one in found[:5]] == [HUGE + 2] * 5
        assert "above the limit" in found[0].reason
        assert [int(one.excerpt.split()[0]) for one in found[5:]] == [*reversed(range(FLOOD))]
        whole = looked(stats, f"/{found[0].id}")
        assert base64.b64decode(whole["content"]) == huge[4].value
        assert stats.answers()


def _newest_of(stats: Running, source: str) -> str:
    found = looked(stats, source=source, refuser="stats", limit="1")["dead_letters"]
    return str(found[0]["excerpt"]) if found else ""


def test_without_a_broker_it_is_unavailable(stats: Running) -> None:
    stats.kafka = f"127.0.0.1:{free_port()}"
    with stats.process("midstage.stats.main"):
        within(DEADLINE_S, stats.answers)
        answer = look(stats)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert look(stats, "/midstage.requests.v1.stats.dlq/0/0").status_code == 503
        assert stats.answers()
