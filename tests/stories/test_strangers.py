"""Events that are broken, huge, foreign or forged reach the dead letters and harm nothing."""

import json
import subprocess
import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from midstage.contracts.edges import seq_text
from midstage.contracts.topics import REQUESTS
from midstage.eventlog.dead_letters import REASON
from midstage.eventlog.log import Message, Record
from midstage.local.platform import Platform
from midstage.testkit.waiting import within
from tests.kafka import kafka_log

from .evidence import assert_exact, records_of, sources

pytestmark = [pytest.mark.platform, pytest.mark.slow]

STRUCTURED = (("content-type", b"application/cloudevents+json"),)


def event(*, source: str, seq: int | None = None, **changed: object) -> bytes:
    whole: dict[str, object] = {
        "specversion": "1.0",
        "id": uuid.uuid4().hex,
        "source": source,
        "type": "dev.midstage.request.completed.v1",
        "time": datetime.now(UTC).isoformat(),
        "data": {
            "app": "chat",
            "customer": "mallory",
            "status": 200,
            "outcome": "ok",
            "duration_ms": 1.0,
            "usage": {"requests": 1},
        },
        **changed,
    }
    if seq is not None:
        whole["midstageseq"] = seq_text(seq)
    return json.dumps(whole).encode()


def sent(platform: Platform, *messages: Message) -> None:
    writer = kafka_log(platform.addresses.kafka).writer()
    for message in messages:
        writer.send(message)
    assert writer.flush(60) == 0
    writer.close()


def message(value: bytes, *, key: str, signature: bytes | None = None) -> Message:
    headers = STRUCTURED if signature is None else (*STRUCTURED, ("ms-sig", signature))
    return Message(topic=REQUESTS.name, key=key.encode(), value=value, headers=headers)


def dead(platform: Platform) -> Sequence[Record]:
    return records_of(platform, REQUESTS.dead_letters("stats"))


def live_source(platform: Platform) -> tuple[str, int]:
    (one,) = [source for source in sources(platform) if not source["closed"]]
    return str(one["source"]), int(str(one["highest"]))


def test_bad_events_are_dead_letters_and_the_good_ones_around_them_count(
    platform: Platform,
) -> None:
    assert_exact(platform.replay(requests=20))
    known = {(letter.partition, letter.offset) for letter in dead(platform)}
    source, highest = live_source(platform)
    forged = event(source=source, seq=highest + 1)
    huge = event(source="stranger", subject="x" * 2 * 1024 * 1024)
    bad = [
        message(b'{"specversion": "1.0", broken', key=source),
        message(huge, key="stranger"),
        message(event(source="stranger", type="com.example.other.v1"), key="stranger"),
        message(forged, key=source),
        message(forged, key=source, signature=b"0" * 64),
    ]
    good = event(source="good-team")
    sent(platform, *bad, message(good, key=source))

    within(60, lambda: len(dead(platform)) >= len(known) + len(bad))
    letters = [each for each in dead(platform) if (each.partition, each.offset) not in known]
    fresh = {letter.value for letter in letters}
    assert {each.value for each in bad} <= fresh
    assert all(dict(letter.headers)[REASON] for letter in letters)

    report = platform.replay(requests=20)
    assert_exact(report)
    true_row = [row for row in report.found.rows if (row.source, row.seq) == (source, highest + 1)]
    assert len(true_row) == 1
    within(60, lambda: usage(platform, customer="mallory"))  # it stands in another partition
    assert usage(platform, customer="mallory") == 1


def test_ones_own_event_is_sent_and_counted_by_the_command_line(platform: Platform) -> None:
    line = {
        "app": "ocr",
        "customer": f"acme-{uuid.uuid4().hex[:8]}",
        "status": 200,
        "outcome": "ok",
        "duration_ms": 41.5,
        "usage": {"requests": 1, "images": 3},
    }
    done = midstage(platform, "send", "log", "-", stdin=json.dumps(line))
    assert done.returncode == 0, done.stderr
    customer = str(line["customer"])
    assert within(60, lambda: usage(platform, customer=customer) == 1)
    shown = midstage(platform, "get", "usage", "--customer", customer)
    assert "IMAGES" in shown.stdout
    assert customer in shown.stdout
    known = midstage(platform, "get", "sources", "-o", "yaml")
    assert "edges/edge-1/" in known.stdout


def test_what_the_command_line_cannot_read_is_named_and_not_sent(platform: Platform) -> None:
    done = midstage(platform, "send", "log", "-", stdin='{"app": "ocr"}\n')
    assert done.returncode == 1
    assert "line 1" in done.stderr
    assert done.stdout == ""


def usage(platform: Platform, *, customer: str) -> int:
    """Requests of the customer, as the command line shows them."""
    done = midstage(platform, "get", "usage", "--customer", customer, "-o", "json")
    assert done.returncode == 0, done.stderr
    return sum(row["requests"] for row in json.loads(done.stdout)["usage"])


def midstage(
    platform: Platform, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "midstage.client.main", *arguments,
            "--dir", str(platform.layout.root),
        ],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=270,
        check=False,
    )  # fmt: skip
