import contextlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from rich.console import Console

from midstage.local import envoy, live, probe
from midstage.local.live import Moment, Watcher, plain
from midstage.local.replay.progress import Line
from midstage.local.screen import Screen
from midstage.testkit.waiting import within

from .loop_facts import decided, log_of, pod

STATUS = (
    b'{"lag_records": 12, "rows": 340, "recent_rows": 9,'
    b' "freshness_ms_p50": 210.4, "freshness_ms_p99": 480.0}'
)


def line(elapsed_s: float, *, offered: int, refused: int) -> Line:
    return Line(
        elapsed_s=elapsed_s,
        offered=offered,
        answered=offered - refused - 3,
        refused=refused,
        failed=0,
        cancelled=0,
        in_flight=3,
        p50_ms=812.0,
        p99_ms=None,
        late_ms=0.0,
    )


class Stats(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(STATUS)

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture
def stats(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(live, "_WITHIN_S", 60.0)  # its answer is what is looked at here
    server = HTTPServer(("127.0.0.1", 0), Stats)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def moments(stats: str) -> list[Moment]:
    log = log_of([decided(-60, 0, 2), decided(17, 2, 4)], [pod(1, "a", version=1)])
    with contextlib.closing(Watcher(stats, token="secret", log=log, app="chat")) as watcher:
        return [
            watcher.moment(line(10.0, offered=100, refused=20)),
            watcher.moment(line(12.0, offered=120, refused=24)),
        ]


def test_rates_are_those_of_the_last_second_not_of_the_whole_run(stats: str) -> None:
    _, second = moments(stats)
    assert (second.offered, second.admitted, second.refused) == (10.0, 8.0, 2.0)


def test_a_line_holds_what_callers_and_stats_say(stats: str) -> None:
    assert plain(moments(stats)[1]) == (
        "sent 120  offered/s 10  admitted/s 8  refused/s 2  in flight 3  ready/wanted 1/4"
        "  p50/p99 ms 812/–  lag 12  fresh p50/p99 ms 210/480  counted 340  decision 2→4 12:00:17"
    )


def test_what_stats_does_not_say_is_unknown_not_zero() -> None:
    nobody = "http://127.0.0.1:9"
    assert "lag –  fresh p50/p99 ms –/–  counted –" in plain(moments(nobody)[1])
    with contextlib.closing(Watcher(nobody, token="secret")) as watcher:
        told = plain(watcher.moment(line(1.0, offered=1, refused=0)))
    assert "ready/wanted –/–" in told
    assert told.endswith("decision –")


def test_without_a_terminal_the_screen_writes_plain_lines(stats: str) -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=200), monotonic=iter([0.0, 1.5, 2.0]).__next__)
    screen.say("kafka is ready")
    screen.show(moments(stats)[1])
    first, second = out.getvalue().splitlines()
    assert first == "    1.5 s  kafka is ready"
    assert second.startswith("    2.0 s  sent 120  offered/s 10")


def test_on_a_terminal_the_screen_shows_a_table_and_lines_above_it(stats: str) -> None:
    out = io.StringIO()
    with Screen(Console(file=out, width=200, force_terminal=True)) as screen:
        screen.show(moments(stats)[1])
        screen.say("stats was killed by SIGKILL")
    shown = out.getvalue()
    assert "offered/s" in shown
    assert "stats was killed by SIGKILL" in shown
    assert "│" in shown
    assert "concurrency wants 4" in shown


def test_the_table_is_whole_on_a_narrow_terminal(stats: str) -> None:
    out = io.StringIO()
    with Screen(Console(file=out, width=60, force_terminal=True)) as screen:
        screen.show(moments(stats)[1])
    shown = out.getvalue()
    assert "…" not in shown
    for figure in ("refused/s", "fresh p50/p99 ms", "210/480", "counted", "340", "1/4", "2→4"):
        assert figure in shown


def test_a_proxy_in_the_environment_is_not_asked_for_loopback(
    stats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert moments(stats)[1].counting is not None
    within(60, lambda: probe.unready(stats) is None)
    port = int(stats.rpartition(":")[2])
    within(60, lambda: str(envoy.unready(port)).startswith("Envoy says"))
