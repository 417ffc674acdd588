"""A throttle over topics of a test's own: ``main`` as the service has it, for the killer to run.

``TEST_KEPT=no`` swaps the counters for ones that are lost with the process, ``TEST_COUNTED=no``
the buckets of which parts are lent for ones that go on as if nothing was.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from midstage.chassis.start import start
from midstage.contracts import topics
from midstage.throttle.config import from_env
from midstage.throttle.decide.lending import LentBucket
from midstage.throttle.main import SERVICE, compose


class Uncounted(LentBucket):
    """What others have is the owner's as well."""

    __slots__ = ()

    def lent(self) -> tuple[int, int]:
        """Nothing."""
        return 0, 0


def named(run: str) -> tuple[topics.Topic, topics.Topic]:
    """The topics of limits and of counters of one run."""
    return (
        replace(topics.LIMITS, name=f"midstage.limits-{run}.v1"),
        replace(topics.SPENDS, name=f"midstage.spends-{run}.v1"),
    )


def main(env: Mapping[str, str], *, reached: Callable[[str], None]) -> int:
    """Run until told to stop, or killed."""
    limits, spends = named(env["TEST_RUN"])
    return start(
        SERVICE,
        lambda: compose(
            from_env(env),
            topic=limits,
            spends=spends,
            kept=env.get("TEST_KEPT") != "no",
            lent_bucket=Uncounted if env.get("TEST_COUNTED") == "no" else LentBucket,
            reached=reached,
        ),
    )
