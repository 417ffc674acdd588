"""Who takes part in a run: topics, files and processes, before anything runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from midstage.contracts.errors import UnavailableError
from midstage.contracts.topics import APPS, AUDIT, BILLING, EDGES, LOAD, REQUESTS, USAGE
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of
from midstage.local.ports import LOOPBACK, found
from midstage.testkit.waiting import within
from tests.crash.children import BROKER_WITHIN_S, Broker, Child
from tests.crash.client import TOKEN, Spool
from tests.crash.deeds import CLIENT, EDGE, SHARD, Deed
from tests.crash.feed import ClientFeed, EdgeFeed
from tests.kafka import kafka_log

KEY = bytes(range(32)).hex()
LEDGER = "usage.duckdb"
TOPICS = (REQUESTS, EDGES, LOAD, USAGE, BILLING, AUDIT, APPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large a run is; ``wrong`` swaps an adapter of the shards, see ``tests.crash.wrong``.

    After ``within_s`` no death is begun; the first ``skip`` of the seed's are left out. Its period
    is to close within ``closes_within_s``: one with a hole in it never does.

    Every second client posts to the HTTP ingest of the shards, the others write to the log.
    """

    seed: int = 1
    events: int = 4_000
    kills: int = 7
    shards: int = 3
    edges: int = 2
    clients: int = 2
    wrong: str = ""
    only: Sequence[Deed] = ()
    skip: int = 0
    within_s: float = 3_600.0
    closes_within_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The processes by what they are, what feeds them, and where the shards answer."""

    children: Mapping[str, Sequence[Child]]
    edges: Sequence[EdgeFeed]
    clients: Sequence[ClientFeed]
    ports: Sequence[int]

    def everybody(self) -> Sequence[Child]:
        """All processes but the broker."""
        return [child for kind in self.children.values() for child in kind]


def begun(plan: Plan, folder: Path, broker: Broker) -> Cast:
    """Topics and files; no child runs yet."""
    log = kafka_log(broker.address)
    within(BROKER_WITHIN_S, lambda: _created(log))
    random = Random(plan.seed)
    edges = [
        EdgeFeed(edge=f"edge-{n}", folder=folder / f"edge-{n}", random=random)
        for n in range(plan.edges)
    ]
    clients = [
        ClientFeed(source=f"clients/{n}", spool=Spool(_made(folder / f"client-{n}")), random=random)
        for n in range(plan.clients)
    ]
    secret(folder / "keys.json", json.dumps({edge.edge: KEY for edge in edges}))
    secret(folder / "token", TOKEN)
    ports = found(plan.shards)
    common = {"CRASH_KAFKA": broker.address, "CRASH_KEYS": str(folder / "keys.json")}
    ingest = ",".join(f"{LOOPBACK}:{port}" for port in ports)
    children = {
        SHARD: [
            Child(
                name=f"shard-{n}",
                folder=folder / f"shard-{n}",
                module="tests.crash.wrong" if plan.wrong else "midstage.stats.main",
                env=shard_env(plan, n, folder, kafka=broker.address, ports=ports),
            )
            for n in range(plan.shards)
        ],
        EDGE: [
            Child(
                name=edge.edge,
                folder=edge.folder,
                module="tests.crash.edge",
                env={**common, "CRASH_EDGE": edge.edge, "CRASH_FOLDER": str(edge.folder)},
            )
            for edge in edges
        ],
        CLIENT: [
            Child(
                name=f"client-{n}",
                folder=folder / f"client-{n}",
                module="tests.crash.client",
                env={
                    **common,
                    "CRASH_SOURCE": client.source,
                    "CRASH_INGEST": ingest if n % 2 else "",
                    "CRASH_FOLDER": str(folder / f"client-{n}"),
                },
            )
            for n, client in enumerate(clients)
        ],
    }
    return Cast(children=children, edges=edges, clients=clients, ports=ports)


def shard_env(
    plan: Plan, shard: int, folder: Path, *, kafka: str, ports: Sequence[int]
) -> Mapping[str, str]:
    """The settings of one shard; small bounds, so that files are made."""
    said = {
        "KAFKA": kafka,
        "PORT": str(ports[shard]),
        "TOKEN_FILE": str(folder / "token"),
        "LEDGER_FILE": str(folder / f"shard-{shard}" / LEDGER),
        "EDGE_KEYS_FILE": str(folder / "keys.json"),
        "COMMIT_INTERVAL_MS": "50",
        "LEDGER_MEMORY_MB": "256",
        "SEGMENT_ROWS": "2",
        "SEEN_IN_MEMORY": str(max(100, plan.events // 400)),
        "SHARD": str(shard),
        "SHARDS": str(plan.shards),
        "PEERS": ",".join(f"http://{LOOPBACK}:{port}" for port in ports),
    }
    env = {f"MIDSTAGE_STATS_{name}": value for name, value in said.items()}
    return {**env, "CRASH_WRONG": plan.wrong}


def _created(log: KafkaLog) -> bool:
    """A broker that was just begun may not have chosen its leaders yet."""
    try:
        log.create(setting for topic in TOPICS for setting in settings_of(topic))
    except UnavailableError:
        return False
    return True


def secret(file: Path, text: str) -> Path:
    file.touch(mode=0o600)
    file.write_text(text)
    return file


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
