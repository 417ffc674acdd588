"""An hpa over a log: what others write to it, said in a line, and the process in a thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from midstage.contracts import cluster as facts
from midstage.contracts.apps import AppFact, AppRemoved, AppSpec, AppSpecified, revision_of
from midstage.contracts.fact import Event, Fact
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.contracts.policy import Policy
from midstage.contracts.signals import SIGNAL_OBSERVED, SignalKind, SignalObserved
from midstage.contracts.topics import Topic
from midstage.eventlog.appended import command, written
from midstage.eventlog.codec import message
from midstage.eventlog.log import Log, Message, Record, Writer
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.standing import standing
from midstage.eventlog.topics import settings_of
from midstage.hpa.config import Settings
from midstage.hpa.main import compose
from midstage.hpa.stream.folding import Topics
from midstage.testkit.waiting import within
from tests import patient
from tests.ports import free_port

TOKEN = "a-token-of-this-test"
STREAMS = ("load", "signals", "cluster", "inventory", "evaluations", "peaks", "members")
ALL = (*STREAMS, "apps", "scaling", "alarms", "audit")


def topics_of(suffix: str) -> Topics:
    """Topics of a test's own, on a broker that others use too."""
    return Topics(
        **{name: _own(getattr(Topics(), name), suffix) for name in ALL}  # one for each
    )


def _own(topic: Topic, suffix: str) -> Topic:
    return replace(topic, name=topic.name.replace(".v1", f"-{suffix}.v1"))


def created(log: Log, names: Topics) -> None:
    """Make the topics."""
    log.create([each for name in ALL for each in settings_of(getattr(names, name))])


@dataclass(slots=True, kw_only=True)
class Others:
    """deploy, control and stats, as far as hpa can tell."""

    log: Log
    names: Topics
    versions: dict[str, int] = field(default_factory=dict)
    writer: Writer | None = None
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def specify(self, app: str, policy: Policy | None, *, replicas: int = 1) -> None:
        """deploy: the application shall be so."""
        spec = AppSpec(image="x", scaling=policy, replicas=replicas)
        self._append(app, AppSpecified(app=app, at=now(), spec=spec, revision=revision_of(spec)))

    def remove(self, app: str) -> None:
        """deploy: it shall be gone."""
        self._append(app, AppRemoved(app=app, at=now()))

    def reach(self, cluster: str = "local") -> None:
        """control: the cluster answers."""
        fact = facts.ClusterReached(cluster=cluster, name=cluster, epoch=1, observed_at=now())
        self.put(*self._of_cluster(facts.CLUSTER_REACHED, fact))

    def lose(self, cluster: str = "local") -> None:
        """control: the cluster can't be asked."""
        at = now()
        fact = facts.ClusterUnreachable(
            cluster=cluster, name=cluster, epoch=1, observed_at=at, since=at
        )
        self.put(*self._of_cluster(facts.CLUSTER_UNREACHABLE, fact))

    def pods(self, app: str, ready: int, starting: int = 0, *, cpu: float | None = None) -> None:
        """control: so many pods, and what each of the ready ones uses."""
        said: list[Message] = []
        for number in range(ready + starting):
            name = f"{app}-{number}"
            said += self._of_cluster(
                facts.POD_OBSERVED,
                facts.PodObserved(
                    cluster="local",
                    name=name,
                    namespace="apps",
                    epoch=1,
                    observed_at=now(),
                    uid=name,
                    resource_version=next(self.numbers),
                    app=app,
                    phase=facts.Phase.RUNNING if number < ready else facts.Phase.STARTING,
                    ready=number < ready,
                    requests=facts.Amount(cpu=1.0),
                    created_at=now(),
                ),
            )
            if cpu is not None and number < ready:
                said += self._of_cluster(
                    facts.POD_USED,
                    facts.PodUsed(
                        cluster="local",
                        name=name,
                        namespace="apps",
                        epoch=1,
                        observed_at=now(),
                        app=app,
                        cpu=cpu,
                        memory_mb=1,
                    ),
                )
        self.put(*said)

    def load(
        self,
        app: str,
        *,
        requests: int = 0,
        in_flight: int | None = 0,
        second: datetime | None = None,
        **changed: Any,
    ) -> None:
        """stats: what it carried in the second that has just ended, complete."""
        at = (second or now() - timedelta(seconds=1)).replace(microsecond=0)
        fact = LoadObserved(
            app=app,
            second=at,
            **{
                "shard": 0,
                "shards": 1,
                "revision": next(self.numbers),
                "complete_until": at + timedelta(seconds=1),
                "outcomes": {"ok": requests},
                "in_flight": in_flight,
                "pending": 0,
                **changed,
            },
        )
        self.say(self.names.load, LOAD_OBSERVED, app, fact)

    def signal(self, app: str, name: str, value: float) -> None:
        """control: so much waits in a queue now."""
        fact = SignalObserved(
            app=app,
            kind=SignalKind.QUEUE,
            name=name,
            source="api",
            observed_at=now(),
            value=value,
        )
        self.say(self.names.signals, SIGNAL_OBSERVED, app, fact)

    def say(self, topic: Topic, type_: str, key: str, fact: Fact) -> None:
        """Write one event."""
        self.put(self._event(topic, type_, key, fact))

    def put(self, *messages: Message) -> None:
        """Write and wait until it stands."""
        if self.writer is None:
            self.writer = self.log.writer()
        for each in messages:
            self.writer.send(each)
        assert self.writer.flush(60) == 0

    def close(self) -> None:
        """Let go of the log."""
        if self.writer is not None:
            self.writer.close()

    def _of_cluster(self, type_: str, fact: facts.ClusterFact) -> list[Message]:
        key = f"{type_}/{fact.cluster}/{fact.name}"
        topics = (self.names.cluster, self.names.inventory)
        return [self._event(topic, type_, key, fact) for topic in topics]

    def _event(self, topic: Topic, type_: str, key: str, fact: Fact) -> Message:
        event = Event(
            id=f"test/{next(self.numbers)}", source="test", type=type_, time=now(), data=fact
        )
        return message(event, topic=topic.name, key=key)

    def _append(self, app: str, fact: AppFact) -> None:
        version = self.versions.get(app, 0) + 1
        self.versions[app] = version
        number = next(self.numbers)
        by = command(key=app, command_id=f"test/{number}", payload=b"")
        self.put(
            written(
                self.names.apps,
                event_id=f"test/{number}",
                by=by,
                version=version,
                engine="test",
                facts=[fact],
                at=now(),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An hpa that serves."""

    http: httpx.Client
    url: str

    def decisions(self, app: str) -> list[dict[str, Any]]:
        """Its decisions, the oldest first."""
        found: list[dict[str, Any]] = self.http.get("/v1/decisions", params={"app": app}).json()[
            "decisions"
        ]
        return found

    def counts(self, app: str) -> list[int]:
        """The counts that were decided."""
        return [each["to"] for each in self.decisions(app)]

    def evaluation(self, app: str, **query: str) -> dict[str, Any]:
        """The newest evaluation, or that of a time."""
        answer = self.http.get(f"/v1/apps/{app}/evaluation", params=query)
        found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return found

    def evaluated_after(self, app: str, at: datetime) -> bool:
        """Whether it was evaluated since."""
        found = self.evaluation(app)
        return bool(found) and datetime.fromisoformat(found["evaluation"]["inputs"]["now"]) > at


@contextmanager
def running(
    log: Log,
    names: Topics,
    directory: Path,
    *,
    reached: Callable[[str], None] = lambda _place: None,
) -> Iterator[Running]:
    """Compose the process as ``main`` does, over this log and these topics; stop it in the end."""
    settings = settings_in(directory)
    process = compose(settings, log=log, topics=names, reached=reached)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(process.run()))
    thread.start()
    url = f"http://127.0.0.1:{settings.port}"
    try:
        with patient.client(base_url=url) as http:
            within(180, lambda: patient.serves(http))
            yield Running(http=http, url=url)
    finally:
        process.stop()
        thread.join(60)
    assert codes == [0]


def settings_in(directory: Path) -> Settings:
    """Settings with a free port and a token."""
    token_file = directory / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    return Settings(kafka="not asked", host="127.0.0.1", port=free_port(), token_file=token_file)


def follows(hpa: Running, others: Others, app: str, in_flight: int, counts: list[int]) -> None:
    """Wait until these counts are decided by this load.

    It is said again and again: load is believed for ten seconds, a cluster for thirty, and a busy
    machine may take longer.
    """

    def followed() -> bool:
        others.reach()
        others.load(app, in_flight=in_flight)
        return hpa.counts(app) == counts

    within(60, followed, every=0.1)


def records(log: Log, topic: Topic) -> Iterator[Record]:
    """All that stand in the topic now."""
    return standing(log, topic.name)


def now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


@pytest.fixture
def others() -> Others:
    """The writers of a fresh log in memory."""
    log = MemoryLog()
    created(log, Topics())
    return Others(log=log, names=Topics())


def facts_told(others: Others) -> list[str]:
    """Of alarms, without which process took which partition."""
    values = [record.value or b"" for record in records(others.log, others.names.alarms)]
    return [
        each["fact"]
        for value in values
        for each in msgspec.json.decode(value)["data"].get("facts", ())
    ]
