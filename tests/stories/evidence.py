"""What the stories look at from outside, to know that a kill bit and that nothing is lost."""

import contextlib
import json
import os
import random
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec

from midstage.contracts.requests import BILLED
from midstage.contracts.topics import REQUESTS
from midstage.contracts.units import micros
from midstage.eventlog.log import BEGINNING, Record
from midstage.local.platform import Platform
from midstage.local.ports import found
from midstage.local.replay.compare import LedgerRow
from midstage.local.replay.findings import Report
from midstage.local.replay.progress import Line
from midstage.local.replay.reconcile import Patience, Source, complete
from midstage.testkit.kill import ordered
from midstage.testkit.waiting import within
from tests import patient
from tests.kafka import kafka_log

RANDOM = random.SystemRandom()
PATIENCE = Patience(quiet_s=120.0, deadline_s=300.0)
"""What is away for half a minute, and starts on a busy machine, lets nothing move meanwhile."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Tells a service at which named place to die."""

    folder: Path

    def __call__(self, service: str, place: str, *, nth: int = 1, after_s: float = 0.0) -> None:
        ordered(self.folder / service, place, nth=nth, after_s=after_s)

    def left(self, service: str) -> bool:
        """Whether the service lives on, because the place was not reached."""
        return (self.folder / service).exists()

    def withdraw(self) -> None:
        """Nobody has to die any more."""
        for order in self.folder.iterdir():
            order.unlink(missing_ok=True)


class Head(msgspec.Struct, frozen=True):
    """As much of an event as says which it is."""

    source: str
    midstageseq: str = ""


def assert_exact(report: Report) -> None:
    """Callers and ledger agree to the last request, and limits were kept."""
    assert (report.missing, report.duplicated, report.different) == ((), (), ())
    assert report.found.complete, report.found.notes
    assert report.found.holes == ()
    assert report.over_limit == ()
    assert report.ends.ledger == report.ends.offered
    assert report.agrees


def records_of(platform: Platform, topic: str) -> Sequence[Record]:
    """Everything in a topic."""
    log = kafka_log(platform.addresses.kafka)
    places = log.partitions(topic)
    ends = log.ends(places)
    reader = log.reader(dict.fromkeys(places, BEGINNING))
    try:
        records: list[Record] = []
        while any(reader.positions()[place] < ends[place] for place in places if ends[place]):
            records += reader.poll(most=10_000, timeout_s=1.0)
        return records
    finally:
        reader.close()


def resent(platform: Platform) -> int:
    """Numbered request events that stand in the topic more than once."""
    heads = [
        msgspec.json.decode(record.value, type=Head)
        for record in records_of(platform, REQUESTS.name)
        if record.value and dict(record.headers).get("ms-sig")
    ]
    counts = Counter((head.source, head.midstageseq) for head in heads)
    return sum(count - 1 for count in counts.values())


def written(platform: Platform) -> int:
    """Records that the requests topic has had so far."""
    log = kafka_log(platform.addresses.kafka)
    return sum(log.ends(log.partitions(REQUESTS.name)).values())


def counted_from(platform: Platform) -> list[int]:
    """At which number of request records each life of stats began to count."""
    text = platform.supervisor.log("stats").read_text()
    lines = [json.loads(line) for line in text.splitlines() if '"counting_from"' in line]
    return [line["records"][REQUESTS.name] for line in lines]


def envoy_counter(platform: Platform, name: str) -> int:
    """One of Envoy's own counters."""
    answer = patient.get(f"{platform.addresses.envoy_admin}/stats", params={"filter": f"^{name}$"})
    value = re.search(r": (\d+)", answer.text)
    return int(value.group(1)) if value else 0


def _known(platform: Platform) -> Mapping[str, str]:
    return {"authorization": f"Bearer {platform.token}"}


def sources(platform: Platform) -> Sequence[Mapping[str, object]]:
    """What the ledger has of each source."""
    asked = f"{platform.addresses.stats}/v1/sources"
    answer = patient.get(asked, headers=_known(platform)).raise_for_status()
    known: list[Mapping[str, object]] = answer.json()["sources"]
    return known


def bytes_behind(platform: Platform) -> int:
    """Bytes of the request log that Kafka has not acknowledged."""
    answer = patient.get(f"{platform.addresses.gateway}/v1/sources").raise_for_status()
    return sum(source["bytes_behind"] for source in answer.json()["sources"])


class Moment:
    """Does ``deed`` once, at a moment that nothing in the platform is in step with.

    The replay's progress starts it; ``over`` waits for its end, and raises what it raised.
    """

    def __init__(self, deed: Callable[[], None]) -> None:
        """Nothing is done before the first request is offered."""
        self._deed = deed
        self._running: threading.Timer | None = None
        self._raised: list[BaseException] = []

    def __call__(self, line: Line) -> None:
        """Watch the replay."""
        if self._running is None and line.offered:
            self._running = threading.Timer(RANDOM.uniform(0.3, 2.5), self._do)
            self._running.start()

    def over(self) -> None:
        """The deed is done."""
        assert self._running is not None, "the replay offered nothing"
        self._running.join()
        if self._raised:
            raise self._raised[0]

    def _do(self) -> None:
        try:
            self._deed()
        except BaseException as error:  # noqa: BLE001  the test's own thread raises it again
            self._raised.append(error)


def replayed_through(
    platform: Platform, deed: Callable[[], None], *, requests: int, speed: float | None = None
) -> Report:
    """Replay while ``deed`` happens; what it raised is raised here.

    What the customers are billed grew by what the rows of the replay say, whatever the deed was.
    """
    await_counted(platform)
    before, moment = billed(platform), Moment(deed)
    report = platform.replay(speed=speed, requests=requests, watch=moment, patience=PATIENCE)
    moment.over()
    grown = billed(platform)
    grown.subtract(before)
    rows = [row for row in report.found.rows if row.outcome in BILLED]
    assert +grown == _summed(rows)
    return report


def await_counted(platform: Platform) -> None:
    """Wait until the ledger has all that was asked for so far, to its last request."""
    until = datetime.now(UTC)

    def counted() -> bool:
        try:
            known = msgspec.convert(sources(platform), tuple[Source, ...])
        except httpx.HTTPError:  # stats was killed, and starts again
            return False
        return complete(known, begun=until, until=until)

    within(60, counted)


def _summed(rows: Sequence[LedgerRow]) -> "Counter[tuple[str, str]]":
    sums: Counter[tuple[str, str]] = Counter()
    for row in rows:
        for unit, amount in row.usage.items():
            sums[row.customer, unit] += micros(amount)
    return +sums


def billed(platform: Platform) -> "Counter[tuple[str, str]]":
    """Micro-units by customer and name, as usage has them."""
    asked = f"{platform.addresses.stats}/v1/usage?group_by=customer"
    answer = patient.get(asked, headers=_known(platform)).raise_for_status()
    return Counter(
        {
            (group["customer"], unit): amount
            for group in answer.json()["usage"]
            for unit, amount in group["micros"].items()
        }
    )


@contextlib.contextmanager
def second(platform: Platform, name: str) -> Iterator[str]:
    """A second process of a service beside the first, as its settings say; its base URL."""
    child = platform.supervisor.child(name)
    (port,) = found(1)
    env = {**os.environ, **child.env, f"MIDSTAGE_{name.upper()}_PORT": str(port)}
    with platform.supervisor.log(f"second-{name}").open("ab") as log:
        process = subprocess.Popen(child.command, env=env, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def ready(base: str) -> bool:
    """Whether a service says that it makes progress."""
    try:
        return patient.get(f"{base}/readyz").status_code == 200
    except httpx.TransportError:
        return False
