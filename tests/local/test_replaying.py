import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, generate_latest

from midstage.local import figures, replaying
from midstage.local.figures import Look
from midstage.local.layout import Layout
from midstage.local.lifecycle import Life, State
from midstage.local.replay.progress import Line, Progress
from midstage.local.supervisor import Child, Supervisor
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.account import OnFailure
from tests.serving import served

NOBODY = "http://127.0.0.1:9"


def line(offered: int) -> str:
    shown = Progress(offered=offered).line(elapsed_s=1.0, at=1.0, done=False)
    return json.dumps({name: getattr(shown, name) for name in shown.__struct_fields__})


def test_each_run_has_a_name_of_its_own_that_sorts_by_time() -> None:
    names = [
        replaying.named(datetime(2026, 1, 2, 3, 4, 5, microsecond, UTC))
        for microsecond in (0, 1_000, 999_000)
    ]
    assert names[0] == "r20260102T030405000"
    assert sorted(set(names)) == names


def test_limits_follow_the_rate_of_arrivals_on_the_wall_clock() -> None:
    def rate(speed: float) -> float:
        replay = replaying.Replay(trace="conv", speed=speed, requests=500, run="r")
        return replaying.limits(replay)[0].rate_per_s

    assert rate(8.0) == pytest.approx(2 * rate(4.0), rel=0.01)


@pytest.mark.slow
def test_the_callers_progress_is_watched_line_by_line_to_its_end(tmp_path: Path) -> None:
    layout = Layout(root=tmp_path)
    layout.make()
    script = f"for line in ({line(1)!r}, {line(2)!r}, {line(3)!r}): print(line, flush=True)"
    seen: list[Line] = []
    supervisor = Supervisor(logs=layout.logs, say=print)
    try:
        replaying.watched(
            Child(
                name="caller",
                command=["python3", "-c", script],
                restarted=False,
                stdout=layout.replay / "progress",
            ),
            supervisor=supervisor,
            watch=seen.append,
        )
    finally:
        supervisor.close()
    assert [one.offered for one in seen] == [1, 2, 3]


def lives(*, throttle: int) -> dict[str, Life]:
    return {
        "throttle": Life(state=State.RUNNING, restarts=throttle),
        "stats": Life(state=State.RUNNING, restarts=2),
    }


def test_the_platforms_figures_are_those_of_one_replay_alone() -> None:
    before, after = (
        figures.look(lives(throttle=restarts), envoy_admin=NOBODY, throttle=NOBODY)
        for restarts in (1, 3)
    )
    facts = figures.between(before, after, limits=(), peak_rss_mb=880.04)
    assert facts.restarts == {"throttle": 2}
    assert (facts.throttle_restarts, facts.peak_rss_mb) == (2, 880.0)


@pytest.mark.parametrize(("before", "after", "passed"), [(5, 8, 3), (5, 2, 2), (0, 0, 0)])
def test_what_was_restarted_counts_from_zero(before: int, after: int, passed: int) -> None:
    def stood(count: int) -> Look:
        return Look(restarts={}, failure_mode_allowed=count, late_open=10 * count)

    facts = figures.between(stood(before), stood(after), limits=(), peak_rss_mb=0.0)
    assert (facts.failure_mode_allowed, facts.late_open) == (passed, 10 * passed)


def test_what_throttle_let_pass_because_it_was_late_is_read_from_its_metrics() -> None:
    registry = CollectorRegistry()
    Metrics(registry).late[OnFailure.OPEN].inc(3)
    pages = FastAPI()
    pages.get("/metrics")(lambda: Response(generate_latest(registry)))
    with served(pages) as base:
        seen = figures.look({}, envoy_admin=NOBODY, throttle=base)
    assert seen.late_open == 3
