"""The loop in the report: from a log with waves, a log that is away, and one that says nothing."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.log import Message
from midstage.local.replay import svg
from midstage.local.replay.chart import LEGEND, chart
from midstage.local.replay.circle import Availability, Circle, circle
from midstage.local.replay.findings import Found, PlatformFacts, Report
from midstage.local.replay.plot import plot
from midstage.local.replay.report import as_json, as_text, made, write
from midstage.local.replay.series import series
from midstage.local.replay.told import Told, told

from .loop_facts import DECISIONS, after, call, decided, life, log_of, pod, pods, waves

MINE = waves()
AVAILABLE = Availability(
    app="chat", good=999, valid=1000, availability=0.999, target=0.999, budget={"left": 0}
)


def closed(facts: Told | None) -> Circle:
    return circle(MINE, app="chat", told=facts, availability=[AVAILABLE])


def report(of: Circle) -> Report:
    found = Found(rows=())
    return made(run="run<1>", mine=MINE, found=found, platform=PlatformFacts(), circle=of)


@pytest.fixture(scope="module")
def waved() -> Circle:
    return closed(told(log_of(DECISIONS, pods()), until=after(192)))


def test_decisions_of_the_replay_are_told_with_their_times(waved: Circle) -> None:
    shown = json.loads(as_json(report(waved)))
    assert len(shown["decisions"]) == len(DECISIONS) - 1  # the first was before the replay
    assert shown["decisions"][0] == {
        "seconds": 17.0,
        "time": "2026-07-01T12:00:17Z",
        "app": "chat",
        "from": 2,
        "to": 4,
        "reason": "concurrency wants 4",
        "load_to_decision_ms": 400.0,
        "decision_to_ready_ms": 2500.0,
        "load_to_ready_ms": 2900.0,
    }
    assert shown["load_to_decision_ms"] == {"p50": 400.0, "p99": 400.0}
    assert shown["decision_to_ready_ms"] == {"p50": 2500.0, "p99": 2800.0}
    assert shown["load_to_ready_ms"] == {"p50": 2900.0, "p99": 3200.0}
    assert (shown["scale_ups"], shown["scale_downs"]) == (5, 4)
    text = as_text(report(waved))
    assert re.search(r"scale-up to ready pods +│ 2,500.0 │ 2,800.0", text)
    assert re.search(r"22.0 │ +4 → 7 │ +400 │ +2,500 │ chat │ concurrency wants 7", text)
    assert "5 scale-ups and 4 scale-downs before the last request" in text


def test_replica_seconds_stand_beside_a_fixed_fleet_at_the_peak(waved: Circle) -> None:
    shown = json.loads(as_json(report(waved)))
    ended = max(row.ended_at for row in MINE)
    length_s = (ended - after(0)).total_seconds()
    always, first = 2 * length_s, 2 * (73 - 19.5) + 3 * (68 - 24.5)
    second = 2 * (149 - 95.5) + 1 * (144 - 95.5) + 2 * (144 - 100.5)
    last = sum(length_s - (173 + n / 10) for n in range(4))
    assert shown["replica_seconds"] == pytest.approx(always + first + second + last, abs=0.06)
    assert (shown["replica_peak"], waved.replicas and waved.replicas.peak) == (7, 7)
    assert shown["replica_seconds_fixed"] == pytest.approx(7 * length_s, abs=0.06)
    saved = 1 - shown["replica_seconds"] / shown["replica_seconds_fixed"]
    assert shown["replica_seconds_saved"] == pytest.approx(saved, abs=1e-3)


def test_only_what_was_decided_before_the_last_request_counts() -> None:
    last = max(row.ended_at for row in MINE)
    late = [*DECISIONS, decided((last - after(0)).total_seconds() - 0.1, 6, 2)]
    found = closed(told(log_of(late, pods()), until=last))
    assert (found.scale_ups, found.scale_downs) == (5, 4)
    assert found.decisions is not None
    assert found.decisions[-1].after == 2


def test_availability_stands_by_application(waved: Circle) -> None:
    assert json.loads(as_json(report(waved)))["availability"] == {
        "chat": {
            "good": 999,
            "valid": 1000,
            "availability": 0.999,
            "target": 0.999,
            "budget": {"left": 0},
        }
    }
    assert "chat: availability 99.900%, 999 good of 1,000" in as_text(report(waved))


def test_a_log_that_can_not_be_read_makes_unknown_and_not_zero() -> None:
    shown = json.loads(as_json(report(closed(None))))
    for name in ("decisions", "scale_ups", "scale_downs", "replica_seconds", "replica_peak"):
        assert shown[name] is None
    text = as_text(report(closed(None)))
    assert "decisions: not known" in text
    assert "replicas of chat: not known" in text
    log = log_of([], [])
    log.cut()
    with pytest.raises(UnavailableError):
        told(log, until=after(1))


def test_a_log_that_says_nothing_of_pods_has_decisions_and_no_replicas() -> None:
    found = closed(told(log_of([], []), until=after(192)))
    assert (found.decisions, found.scale_ups, found.replicas) == ((), 0, None)


def test_what_the_log_says_after_the_replay_does_not_count() -> None:
    facts = told(log_of([], [pod(1, "a", version=1), pod(300, "b", version=1)]), until=after(192))
    assert [fact.name for fact in facts.pods] == ["a"]


def test_a_second_record_of_a_version_is_no_decision() -> None:
    log = log_of(DECISIONS, [])
    before = told(log, until=after(192)).decisions
    writer = log.writer()
    for place in log.partitions("midstage.scaling.v1"):
        for record in log.reader({place: 0}).poll(most=100, timeout_s=0.0):
            writer.send(
                Message(
                    topic=place.topic,
                    key=record.key,
                    value=record.value or b"",
                    headers=record.headers,
                )
            )
    writer.flush(5.0)
    writer.close()
    assert told(log, until=after(192)).decisions == before
    assert len(before) == len(DECISIONS)


def test_the_chart_fits_eighty_columns_and_shows_what_followed_what(waved: Circle) -> None:
    lines = list(chart(waved))
    assert max(map(len, lines)) <= 80
    assert lines[-1] == LEGEND
    marks = next(line for line in lines if "▲" in line and "decision" not in line)
    assert "".join(re.findall("[▲▼◆]", marks)) == "▲▲▼▼▲▲▼▼▲"
    six = next(line for line in lines if line.lstrip().startswith("6 │"))
    assert re.fullmatch(r" +6 │ +░█+ +░█+ +░█+", six.rstrip())
    assert "\x1b" not in "\n".join(lines)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.floats(0, 900), st.floats(0, 30)), min_size=1, max_size=40),
    st.integers(1, 400),
)
def test_a_chart_and_a_plot_of_anything_fit(drawn: list[tuple[float, float]], count: int) -> None:
    mine = [call(start, lasts=lasts) for start, lasts in drawn]
    middle = sum(start for start, _ in drawn) / len(drawn)
    facts = Told(
        decisions=(decided(middle, 1, count), decided(middle + 1, count, 1)),
        pods=tuple(life("a", ready=middle - 5, leaves=middle + 3, ends=middle + 9)),
    )
    of = circle(mine, app="chat", told=facts)
    lines = list(chart(of))
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 30
    drawn_svg = ET.fromstring(plot(replace(report(of), circle=of)))
    for shape in drawn_svg.iter():
        for pair in shape.get("points", "").split():
            x, y = map(float, pair.split(","))
            assert (0 <= x <= 960, 0 <= y <= 640) == (True, True)


def test_the_series_count_each_request_once() -> None:
    rows = [call(0, lasts=2.5), call(0.4, lasts=0.1), call(1.0, lasts=5.0)]
    found = series(rows)
    assert found is not None
    assert found.offered == (2, 1, 0, 0, 0, 0, 0)
    assert found.in_flight == (1, 2, 1, 1, 1, 1, 0)
    assert (series([]), list(chart(circle([], app="chat", told=None)))) == (None, [])


def test_the_plot_is_whole_in_itself_and_says_what_it_shows(waved: Circle, tmp_path: Path) -> None:
    beside = write(report(waved), tmp_path / "r.json")
    assert beside == tmp_path / "r.svg"
    picture = beside.read_text(encoding="utf-8")
    root = ET.fromstring(picture)
    words = [one.text for one in root.iter(f"{{{svg.NAMESPACE}}}text")]
    assert {"offered requests/s", "requests in flight", "replicas", "wanted"} <= set(words)
    assert {"2→4", "4→7", "7→4", "4→2", "2→5", "5→7", "2→6"} <= set(words)
    assert "run<1>, 3,348 requests, 5 scale-ups and 4 scale-downs" in str(words[1])
    assert "http" not in picture.replace(svg.NAMESPACE, "")
    assert json.loads((tmp_path / "r.json").read_bytes())["scale_ups"] == 5
    assert write(report(waved), tmp_path / "x.svg") == tmp_path / "x.svg.svg"


def test_words_can_not_become_markup() -> None:
    drawn = svg.document(
        [svg.text("<a>&\x00\x1b", x=1, y=2.345678, class_='"q"')],
        width=1,
        height=1,
        title="<t>",
        about="&",
    )
    found = next(ET.fromstring(drawn).iter(f"{{{svg.NAMESPACE}}}text"))
    assert (found.text, found.get("class"), found.get("y")) == ("<a>&", '"q"', "2.35")
