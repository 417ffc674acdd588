"""Faults on demand that are in force; they end with the daemon."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from midstage.cluster.faults import CrashLoop, SlowStart
from midstage.cluster.objects import Pod

_CRASH = "import sys; sys.stderr.write('a fault on demand: crash loop\\n'); sys.exit({code})"


@dataclass(slots=True)
class InForce:
    """What pods of an application, or of one revision of it, have to suffer."""

    crashes: dict[tuple[str, str | None], int] = field(default_factory=dict)
    delays_s: dict[tuple[str, str | None], float] = field(default_factory=dict)

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

    def crash(self, pod: Pod) -> Sequence[str] | None:
        """What the pod runs in place of its program; None: its program."""
        for key in _keys(pod):
            if key in self.crashes:
                return (sys.executable, "-I", "-S", "-c", _CRASH.format(code=self.crashes[key]))
        return None

    def delay_s(self, pod: Pod) -> float:
        """How much later the pod's process starts."""
        return max((self.delays_s.get(key, 0.0) for key in _keys(pod)), default=0.0)


def _keys(pod: Pod) -> Sequence[tuple[str, str | None]]:
    return ((pod.app, pod.revision), (pod.app, None))
