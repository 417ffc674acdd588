import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import asyncio, logging, threading
from datetime import UTC, datetime
from midstage.chassis import logs

logs.configure(service="tale", level={level!r})
log = logs.logger("tale.part")
{body}
"""


def lines(body: str, *, level: str = "info") -> list[dict[str, Any]]:
    """What a process that runs ``body`` writes to stderr, line by line."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body, level=level)],
        capture_output=True,
        text=True,
        timeout=270,
        check=False,
    )
    assert ended.stdout == ""
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_a_line_is_json_with_its_fields() -> None:
    (line,) = lines(
        "log.info('limit_set', limit='a', rate=1.5, at=datetime(2026, 1, 1, tzinfo=UTC))"
    )
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "service": "tale",
        "logger": "tale.part",
        "event": "limit_set",
        "limit": "a",
        "rate": 1.5,
        "at": "2026-01-01T00:00:00Z",
    }


def test_fields_can_be_anything_and_hide_nothing() -> None:
    (line,) = lines(
        "log.info('odd', level='x', event='y', message='z', thing=object, text='a\\nb')"
    )
    assert (line["event"], line["level"], line["event_"], line["level_"]) == (
        "odd",
        "info",
        "y",
        "x",
    )
    assert (line["message"], line["thing"], line["text"]) == ("z", "<class 'object'>", "a\nb")


def test_what_is_bound_is_on_every_line_inside_and_none_after() -> None:
    said = lines(
        """
async def step(n):
    with logs.bound(step=n):
        await asyncio.sleep(0)
        log.info("stepped", n=n)

async def main():
    with logs.bound(request_id="r1"):
        await asyncio.gather(step(1), step(2))
        logging.getLogger("foreign").warning("has %s", "words")
    log.info("after")

asyncio.run(main())
"""
    )
    assert [(line.get("request_id"), line.get("step"), line.get("n")) for line in said] == [
        ("r1", 1, 1),
        ("r1", 2, 2),
        ("r1", None, None),
        (None, None, None),
    ]
    assert (said[2]["event"], said[2]["message"]) == ("foreign", "has words")


def test_an_error_names_type_text_and_trace() -> None:
    (line,) = lines("log.error('gave_up', raised=ValueError('no'), tries=3)")
    assert (line["error_type"], line["error"], line["tries"]) == ("ValueError", "no", 3)
    assert "ValueError: no" in line["traceback"]


def test_lines_below_the_level_are_not_written() -> None:
    body = "log.debug('a'); log.info('b'); log.warning('c'); log.error('d')"
    assert [line["event"] for line in lines(body, level="warning")] == ["c", "d"]
    assert [line["event"] for line in lines(body, level="debug")] == ["a", "b", "c", "d"]


def test_a_crash_is_a_line_too() -> None:
    (line,) = lines("raise RuntimeError('unexpected')")
    assert (line["event"], line["error"]) == ("crashed", "unexpected")


def test_a_crashed_thread_is_named() -> None:
    (line,) = lines("t = threading.Thread(target=lambda: 1 // 0, name='pump'); t.start(); t.join()")
    assert (line["event"], line["thread"]) == ("thread_crashed", "pump")
    assert line["error_type"] == "ZeroDivisionError"


def test_an_unknown_level_is_refused() -> None:
    from midstage.chassis import logs  # noqa: PLC0415  the other tests use processes of their own

    with pytest.raises(ValueError, match="'loud' is none of debug, info"):
        logs.configure(service="tale", level="loud")


def test_bound_fields_end_with_an_exception() -> None:
    from midstage.chassis import logs  # noqa: PLC0415

    async def story() -> dict[str, object]:
        with pytest.raises(KeyError), logs.bound(a=1):
            raise KeyError
        return dict(logs._BOUND.get())

    assert asyncio.run(story()) == {}
