"""The race of the paying path's front: Envoy bare, as our gateway, and with throttle.

Many callers say how much passes, a single one what a request waits longer. Every request of a
race must be answered 200; how many of them throttle really decided is a figure of its own,
because a throttle that can't keep up is passed by (fail open).
"""

import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from midstage.local.ports import LOOPBACK, found
from tests.bench import envoys
from tests.bench.callers import Heard
from tests.bench.children import module, running, told
from tests.bench.envoys import PATH, Front
from tests.bench.figures import Figure, Measure, figures
from tests.bench.limiter import throttle
from tests.bench.rounds import Contestant, Size, interleaved

GROUP = "gateway"
RATE = Measure(name="requests, many callers", unit="requests/s")
P50 = Measure(name="one caller, p50", unit="ms", more_is_better=False)
P99 = Measure(name="one caller, p99", unit="ms", more_is_better=False)
BUSY_P99 = Measure(name="many callers, p99", unit="ms", more_is_better=False)
DECIDED = Measure(name="decided by throttle, many callers", unit="%")
MEASURES = (RATE, P50, P99, BUSY_P99, DECIDED)
BARE, ALONE, LIMITED = "bare Envoy", "midstage without throttle", "midstage with throttle"
_COUNTERS = "ratelimit%5C.open%5C.(ok|over_limit|error)$"
_SLACK_S = 30.0


class _Stat(msgspec.Struct):
    name: str = ""
    value: int = 0


class _Stats(msgspec.Struct):
    stats: list[_Stat] = []


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """All three Envoys stand; each in turn gets the load."""
    [port] = found(1)
    with ExitStack() as standing:
        enter = standing.enter_context
        enter(running(module("tests.bench.replica", str(port)), log=directory / "replica.log"))
        grpc_port = enter(throttle(bootstrap, directory / "throttle"))
        fronts = {
            BARE: enter(envoys.bare(replica=port, directory=directory / "bare")),
            ALONE: enter(
                envoys.gateway(replica=port, throttle=None, directory=directory / "alone")
            ),
            LIMITED: enter(
                envoys.gateway(replica=port, throttle=grpc_port, directory=directory / "limited")
            ),
        }
        taken = interleaved(
            [
                Contestant(name=name, run=partial(_run, front, size, asks=name == LIMITED))
                for name, front in fronts.items()
            ],
            group=GROUP,
            rounds=size.rounds,
        )
    counts = dict.fromkeys(fronts, f"{size.connections} and 1 callers, {size.seconds:g} s each")
    return figures(group=GROUP, measures=MEASURES, taken=taken, peers=(BARE, ALONE), counts=counts)


def _run(front: Front, size: Size, *, asks: bool) -> Mapping[str, float]:
    alone = called(front, callers=1, seconds=size.seconds)
    before = asked_of(front) if asks else {}
    busy = called(front, callers=size.connections, seconds=size.seconds)
    found = {
        RATE.name: busy.requests / busy.seconds,
        P50.name: alone.p50_ms,
        P99.name: alone.p99_ms,
        BUSY_P99.name: busy.p99_ms,
    }
    if asks:
        found[DECIDED.name] = decided(before, asked_of(front))
    return found


def called(front: Front, *, callers: int, seconds: float) -> Heard:
    """What so many callers heard in that time; RuntimeError where an answer was no 200."""
    command = module("tests.bench.callers", str(front.port), PATH, str(callers), str(seconds))
    return told(
        command, Heard, name="the callers were not answered", within_s=2 * seconds + _SLACK_S
    )


def asked_of(front: Front) -> Mapping[str, int]:
    """What became of Envoy's questions to throttle so far, by the last word of the counter."""
    url = f"http://{LOOPBACK}:{front.admin_port}/stats?format=json&filter={_COUNTERS}"
    with urllib.request.urlopen(url, timeout=_SLACK_S) as answer:
        stats = msgspec.json.decode(answer.read(), type=_Stats).stats
    return {stat.name.rpartition(".")[2]: stat.value for stat in stats}


def decided(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """The share of the questions in between that throttle answered itself, in percent."""
    asked = {name: count - before.get(name, 0) for name, count in after.items()}
    answered = asked.get("ok", 0) + asked.get("over_limit", 0)
    questions = answered + asked.get("error", 0)
    if not questions:
        raise RuntimeError("Envoy did not ask throttle at all")
    return 100 * answered / questions
