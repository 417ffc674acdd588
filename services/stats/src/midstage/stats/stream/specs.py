"""The applications' specs, for what they promise; read only.

No readiness asks for them: counting goes on without any spec.
"""

from midstage.chassis.clock import Clock
from midstage.contracts.apps import AppFact
from midstage.contracts.topics import Topic
from midstage.eventlog.log import Log
from midstage.eventlog.versions import Versions
from midstage.stats.views.promises import Promise, evolve


def specs(*, log: Log, clock: Clock, topic: Topic, engine: str) -> Versions[Promise, AppFact]:
    """The loop that folds them."""
    return Versions[Promise, AppFact](
        log=log,
        topic=topic,
        initial=Promise(),
        evolve=evolve,
        engine=engine,
        now=clock.now,
        monotonic=clock.monotonic,
    )
