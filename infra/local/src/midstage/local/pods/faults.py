"""Faults on demand that are in force; they end with the process that has them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from midstage.cluster.faults import CrashLoop, ImagePull, SlowStart

_CRASH = "import sys; sys.stderr.write('a fault on demand: crash loop\\n'); sys.exit({code})"


@dataclass(slots=True)
class InForce:
    """What pods of an application, or of one revision of it, have to suffer."""

    crashes: dict[tuple[str, str | None], int] = field(default_factory=dict)
    delays_s: dict[tuple[str, str | None], float] = field(default_factory=dict)
    unpullable: set[tuple[str, str | None]] = field(default_factory=set)

    def crash_loop(self, fault: CrashLoop) -> None:
        """Begin or end it."""
        if fault.off:
            self.crashes.pop((fault.app, fault.revision), None)
        else:
            self.crashes[fault.app, fault.revision] = fault.exit_code

    def slow_start(self, fault: SlowStart) -> None:
        """Begin or end it."""
        if fault.seconds:
            self.delays_s[fault.app, fault.revision] = fault.seconds
        else:
            self.delays_s.pop((fault.app, fault.revision), None)

    def image_pull(self, fault: ImagePull) -> None:
        """Begin or end it."""
        if fault.off:
            self.unpullable.discard((fault.app, fault.revision))
        else:
            self.unpullable.add((fault.app, fault.revision))

    def crash(self, app: str, revision: str) -> Sequence[str] | None:
        """What a pod runs in place of its program; None: its program."""
        for key in _keys(app, revision):
            if key in self.crashes:
                return (sys.executable, "-I", "-S", "-c", _CRASH.format(code=self.crashes[key]))
        return None

    def delay_s(self, app: str, revision: str) -> float:
        """How much later a pod's process starts."""
        return max((self.delays_s.get(key, 0.0) for key in _keys(app, revision)), default=0.0)

    def pullable(self, app: str, revision: str) -> bool:
        """Whether a pod's image can be had."""
        return self.unpullable.isdisjoint(_keys(app, revision))


def _keys(app: str, revision: str) -> Sequence[tuple[str, str | None]]:
    return ((app, revision), (app, None))
