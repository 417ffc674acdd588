"""How fresh stats is while events come at a steady rate, beside broker and producer.

Events are made and signed before any is sent; ``pacing`` sends them, ``freshness`` counts them.
"""

import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of
from tests.bench.children import last_words, module, running
from tests.bench.counting import names_of
from tests.bench.figures import Figure, Measure, figures
from tests.bench.ledger import own_topics
from tests.bench.rounds import Contestant, Size, interleaved, say
from tests.bench.topics import removed

GROUP = "stats-live"
SENT = Measure(name="sent to it", unit="events/s")
HALF = Measure(name="event to its commit, p50", unit="ms", more_is_better=False)
NEARLY_ALL = Measure(name="event to its commit, p99", unit="ms", more_is_better=False)
MEASURES = (SENT, HALF, NEARLY_ALL)
OURS = "midstage stats, live"
_LONGER = 4
"""Times as long as a round of other races: it has to show whether it falls behind."""


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Send at ``size.rate`` to a new ledger each round, by a broker that has seen such a load.

    A young broker takes twice the processor for the same: Java has not compiled it yet.
    """
    count = int(size.rate * size.seconds * _LONGER)
    say(f"{GROUP}: a round that does not count, for the broker")
    _fresh(bootstrap, count, size.rate, directory)
    run = partial(_fresh, bootstrap, count, size.rate, directory)
    taken = interleaved([Contestant(name=OURS, run=run)], group=GROUP, rounds=size.rounds)
    counts = {OURS: f"{count:,} events at {size.rate:,}/s"}
    return figures(group=GROUP, measures=MEASURES, taken=taken, peers=(), counts=counts)


def _fresh(bootstrap: str, count: int, rate: int, directory: Path) -> Mapping[str, float]:
    topics = own_topics()
    names = names_of(topics)
    standing = (topics.requests, topics.edges, topics.load, topics.usage)
    KafkaLog(bootstrap=bootstrap, client_id="bench").create(
        [settings for topic in standing for settings in settings_of(topic)]
    )
    home = Path(tempfile.mkdtemp(prefix="live-", dir=directory))
    log = home / "live.log"
    counting = module("tests.bench.freshness", bootstrap, *names, str(count), str(home))
    sending = module("tests.bench.pacing", bootstrap, names[0], str(count), str(rate))
    with running(counting, log=log) as stats, running(sending, log=log) as sender:
        if sender.wait() != 0:
            raise RuntimeError(f"the producer sent no more: {last_words(log)}")
        said = [line.split() for line in stats.stdout or ()]
    if len(said) != 1:
        raise RuntimeError(f"stats gave no answer: {last_words(log)}")
    removed(bootstrap, *(settings.name for topic in standing for settings in settings_of(topic)))
    shutil.rmtree(home)
    found = dict(zip(MEASURES, map(float, said[0]), strict=True))
    return {measure.name: value for measure, value in found.items()}
