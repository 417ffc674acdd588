"""Applications that shrink, grow and are updated under load, over and over, all at the same time.

The size is an argument: small where a test tells the story, large where the bench does.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import msgspec

from midstage.contracts.apps import AppSpec, Resources, revision_of
from midstage.local.platform import Platform

from .loop import await_settled, put, spec
from .steady import Load, steady

LEAST = 2
_SMALL = Resources(cpu=0.05, memory_mb=64)
"""A hundred of them, and the surge of their updates, have room on the platform's nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """How often each application shrinks by one, grows to ``most`` again, and is updated."""

    scale_downs: int
    scale_ups: int
    updates: int
    most: int = 4


def turned(
    platform: Platform, apps: Sequence[str], turns: Turns, *, callers: int, pause_s: float = 0.0
) -> Load:
    """What became of all requests; each application has its own callers and its own thread."""
    for app in apps:
        put(platform, app, _small(spec(app, replicas=turns.most)))
    for app in apps:
        await_settled(platform, app, replicas=turns.most)
    with ExitStack() as loads:
        under = [
            loads.enter_context(steady(platform, app, callers=callers, pause_s=pause_s))
            for app in apps
        ]
        at_once([partial(_turned, platform, app, turns) for app in apps])
    return Load(ends=sum((load.ends for load in under), Counter()))


def at_once(deeds: Sequence[Callable[[], None]]) -> None:
    """Do all of them side by side; what one of them raised is raised when all are done."""
    raised: list[BaseException] = []

    def done(deed: Callable[[], None]) -> None:
        try:
            deed()
        except BaseException as error:  # noqa: BLE001  the caller's thread raises it again
            raised.append(error)

    running = [threading.Thread(target=done, args=(deed,)) for deed in deeds]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if raised:
        raise raised[0]


def _turned(platform: Platform, app: str, turns: Turns) -> None:
    """Down one by one to the least, up again, for as long as there are turns; then the updates."""
    assert turns.scale_downs <= (turns.scale_ups + 1) * (turns.most - LEAST), "nothing to take away"
    now, downs, ups = turns.most, turns.scale_downs, turns.scale_ups
    while downs or ups:
        if downs and now > LEAST:
            now, downs = now - 1, downs - 1
        else:
            now, ups = turns.most, ups - 1
        _to(platform, app, spec(app, replicas=now))
    for number in range(turns.updates):
        _to(platform, app, another(app, replicas=now, number=number))


def _to(platform: Platform, app: str, wanted: AppSpec) -> None:
    small = _small(wanted)
    put(platform, app, small)
    await_settled(platform, app, replicas=small.replicas, revision=revision_of(small))


def _small(wanted: AppSpec) -> AppSpec:
    return msgspec.structs.replace(wanted, resources=_SMALL)


def another(app: str, *, replicas: int, number: object) -> AppSpec:
    """The same application in another revision."""
    env = {"MIDSTAGE_REPLICA_COLD_START_S": "1", "STORY": str(number)}
    return spec(app, replicas=replicas, env=env)
