"""Several hpa processes on a real Kafka: killed, stopped and woken, from one to three and back."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from midstage.contracts.policy import Policy, Rate, Targets
from midstage.hpa.stream.replay import replayed
from midstage.testkit.waiting import within
from tests import patient
from tests.hpa.conftest import Others, created, settings_in, topics_of
from tests.kafka import kafka_log

pytestmark = [pytest.mark.platform, pytest.mark.slow]
FREE = Rate(pods=1000)
POLICY = Policy(
    min=1,
    max=99,
    targets=Targets(concurrency=2),
    stabilise_down_s=0,
    window_s=1,
    up=FREE,
    down=FREE,
)
APPS = [f"app-{number}" for number in range(12)]
PATIENT_S = 300
"""Four processes start, and must be scheduled to be seen: on a busy machine that takes time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One of the processes."""

    name: str
    url: str
    process: subprocess.Popen[bytes]

    def partitions(self) -> int:
        """How many partitions it holds, as it says itself."""
        for line in patient.get(f"{self.url}/metrics").text.splitlines():
            if line.startswith("midstage_hpa_partitions_held "):
                return int(float(line.split()[1]))
        return 0

    def decisions(self, app: str) -> list[dict[str, Any]]:
        answer = patient.get(f"{self.url}/v1/decisions", params={"app": app}).json()
        found: list[dict[str, Any]] = answer["decisions"]
        return found


@dataclass(slots=True, kw_only=True)
class Several:
    """Those that run, by name."""

    others: Others
    suffix: str
    bootstrap: str
    directory: Path
    stack: ExitStack
    members: dict[str, Member] = field(default_factory=dict)
    counts: list[int] = field(default_factory=lambda: [2])

    def start(self, name: str) -> None:
        directory = self.directory / name
        directory.mkdir()
        settings = settings_in(directory)
        env = {
            **os.environ,
            "MIDSTAGE_HPA_KAFKA": self.bootstrap,
            "MIDSTAGE_HPA_PORT": str(settings.port),
            "MIDSTAGE_HPA_TOKEN_FILE": str(settings.token_file),
        }
        log = self.stack.enter_context((directory / "log").open("ab"))
        command = [sys.executable, "-m", "tests.hpa.serving", self.suffix]
        process = subprocess.Popen(command, env=env, stderr=log)
        self.stack.callback(process.kill)
        url = f"http://127.0.0.1:{settings.port}"
        self.members[name] = Member(name=name, url=url, process=process)
        with patient.client(base_url=url) as http:
            within(PATIENT_S, lambda: process.poll() is not None or patient.serves(http))
        assert process.poll() is None, (directory / "log").read_text()

    def signal(self, name: str, number: signal.Signals) -> Member:
        self.members[name].process.send_signal(number)
        return self.members.pop(name)

    def share(self, **partitions: int) -> None:
        """Wait until they hold so many partitions each."""
        within(PATIENT_S, lambda: self.held() == partitions)

    def held(self) -> Mapping[str, int]:
        return {name: member.partitions() for name, member in self.members.items()}

    def need(self, count: int) -> None:
        """Load for so many comes, more than before; all processes tell of the same decisions."""
        self.counts.append(count)
        within(PATIENT_S, lambda: self._loaded(2 * count))
        asked = [{app: each.decisions(app) for app in APPS} for each in self.members.values()]
        assert all(answer == asked[0] for answer in asked)

    def settled(self) -> bool:
        return all(
            [each["to"] for each in member.decisions(app)] == self.counts
            for member in self.members.values()
            for app in APPS
        )

    def _loaded(self, in_flight: int) -> bool:
        for app in APPS:
            self.others.load(app, in_flight=in_flight)
        self.others.reach()
        return self.settled()


@contextmanager
def several(bootstrap: str, directory: Path) -> Iterator[Several]:
    suffix = uuid.uuid4().hex[:10]
    log, names = (
        kafka_log(bootstrap),
        topics_of(suffix),
    )
    created(log, names)
    others = Others(log=log, names=names)
    others.reach()
    for app in APPS:
        others.specify(app, POLICY, replicas=2)
    with ExitStack() as stack:
        yield Several(
            others=others, suffix=suffix, bootstrap=bootstrap, directory=directory, stack=stack
        )
        if others.writer is not None:
            others.writer.close()


def test_from_one_to_three_and_back_over_a_stop_and_a_kill(kafka: str, tmp_path: Path) -> None:
    with several(kafka, tmp_path) as hpa:
        hpa.start("one")
        hpa.share(one=6)
        within(PATIENT_S, hpa.settled)
        hpa.start("two")
        hpa.share(one=3, two=3)
        hpa.need(5)
        hpa.start("three")
        hpa.share(one=2, two=2, three=2)
        hpa.need(9)

        zombie = hpa.signal("one", signal.SIGSTOP)
        hpa.share(two=3, three=3)
        hpa.need(20)
        hpa.members["one"] = zombie
        zombie.process.send_signal(signal.SIGCONT)
        hpa.share(one=2, two=2, three=2)
        hpa.need(30)

        assert hpa.signal("two", signal.SIGKILL).process.wait(60) == -signal.SIGKILL
        hpa.share(one=3, three=3)
        hpa.need(45)
        assert hpa.signal("three", signal.SIGTERM).process.wait(60) == 0
        hpa.share(one=6)
        hpa.need(70)
        for app in APPS:
            changes = hpa.members["one"].decisions(app)
            assert all(before["to"] == after["from"] for before, after in pairwise(changes))
        assert hpa.signal("one", signal.SIGTERM).process.wait(60) == 0

        found = replayed(hpa.others.log, topics=hpa.others.names)
        assert found.equal, found
        assert found.unheld == 0
        assert found.changes == len(APPS) * len(hpa.counts)
