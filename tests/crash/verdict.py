"""What must hold at the end: accepted = ledgers = recount = independent counter = statement.

The ledgers are read from their files after the shards have ended and the hours that are over have
been derived; the log is added up by the independent counter; recount and statement are the shards'
own. A run proves something only where
it hurt: see ``Evidence``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import duckdb
from confluent_kafka import Consumer, TopicPartition

from midstage.contracts.topics import REQUESTS
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.merging import Merging
from midstage.stats.adapters.rows import beside, held
from tests.crash.asked import Recounted, Stated, Sum
from tests.crash.deeds import STOPS
from tests.crash.feed import Name
from tests.stats import independent
from tests.stats.independent import Cell, records

K = TypeVar("K")

_ROWS = "SELECT source, coalesce(CAST(seq AS VARCHAR), id) FROM {rows} AS held"
_CELLS = """
SELECT strftime({time}, '{form}'), customer, app, endpoint, revision, kind, name,
       CAST(sum(amount) AS VARCHAR)
FROM {table} GROUP BY ALL HAVING sum(amount) <> 0
"""
_FORMS = {"minutes": ("minute", "%Y-%m-%dT%H:%M"), "hours": ("hour", "%Y-%m-%dT%H")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How often it hurt.

    ``redelivered``: a shard died with a chunk read and not committed. ``resent``: copies in the
    log above one for each event. ``late``: of these, by who had stopped, copies that the woken one
    sent after its successor had been acknowledged. ``spared``: failpoints where nobody died.
    """

    kills: Mapping[str, int]
    redelivered: int
    resent: int
    late: Mapping[str, int]
    spared: Sequence[str] = ()

    def lacking(self) -> Sequence[str]:
        """What did not happen, so that the run proves nothing of it."""
        said = {
            "redelivered": self.redelivered,
            "resent": self.resent,
            **{f"late, of a woken {who}": self.late.get(who, 0) for who in STOPS},
        }
        return [name for name, times in said.items() if not times]


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """Who was woken, and the ends of the log then: by partition the next offset."""

    who: str
    ends: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found; ``wrong`` says in sentences what does not hold."""

    accepted: int
    rows: int
    cells: int
    recounted: int
    stated: int
    evidence: Evidence
    wrong: Sequence[str]


def judged(
    kafka: str,
    *,
    ledgers: Sequence[Path],
    accepted: set[Name],
    keys: Mapping[str, str],
    evidence: Evidence,
    recount: Recounted | None,
    statement: Stated | None,
    vain: Sequence[str] = (),
) -> Verdict:
    """Compare all of it; ``vain`` is what was waited for in vain."""
    rows: Counter[Name] = Counter()
    minutes: Counter[Cell] = Counter()
    hours: Counter[Cell] = Counter()
    for number, file in enumerate(ledgers):
        _derive_hours(file, shard=number, shards=len(ledgers))
        with duckdb.connect(str(file), read_only=True) as db:
            rows.update(db.execute(_ROWS.format(rows=held(db, beside(file)))).fetchall())
            minutes.update(_cells(db, "minutes"))
            hours.update(_cells(db, "hours"))
    count = independent.recount(kafka, REQUESTS.name, keys)
    true_minutes = +count.cells
    wrong = [
        *_named("accepted, not in the ledger", accepted - rows.keys()),
        *_named("in the ledger, never accepted", rows.keys() - accepted),
        *_named("twice in the ledger", {name for name, times in rows.items() if times > 1}),
        *_named("in the log, not in the ledger", count.counted - rows.keys()),
        *_differing("minutes", true_minutes, minutes),
        *_differing("hours", _hourly(true_minutes), hours),
        *recount_wrong(recount, rows.total()),
        *statement_wrong(statement, accepted, _sums(true_minutes)),
        *vain,
    ]
    return Verdict(
        accepted=len(accepted),
        rows=rows.total(),
        cells=len(minutes),
        recounted=recount.rows if recount else 0,
        stated=statement.rows.total() if statement else 0,
        evidence=evidence,
        wrong=wrong,
    )


def ends(kafka: str) -> Mapping[int, int]:
    """The next offset of each partition of requests."""
    reader = Consumer({"bootstrap.servers": kafka, "group.id": "crash"})
    partitions = reader.list_topics(REQUESTS.name, timeout=30).topics[REQUESTS.name].partitions
    found = {
        number: reader.get_watermark_offsets(TopicPartition(REQUESTS.name, number), timeout=30)[1]
        for number in partitions
    }
    reader.close()
    return found


def named(kafka: str) -> Iterator[tuple[Name, int, int]]:
    """Each record of the log by its event's name, with its partition and offset."""
    for _, value, partition, offset in records(kafka, REQUESTS.name):
        event = json.loads(value)
        number = event.get("midstageseq")
        yield (event["source"], str(int(number)) if number else event["id"]), partition, offset


def copies(
    log: Iterable[tuple[Name, int, int]], woken: Sequence[Woken]
) -> tuple[int, Counter[str]]:
    """Copies above one of each event; and of these by who was woken those that are late.

    Late is a copy behind the end of the log at a waking whose first stands before that. Nobody
    else held anything then, and the next one is woken when the log is quiet again: so it is the
    doing of the one who was woken last before it.
    """
    first: dict[Name, int] = {}
    resent, late = 0, Counter[str]()
    for name, partition, offset in log:
        if name not in first:
            first[name] = offset
            continue
        resent += 1
        by = [one for one in woken if one.ends[partition] <= offset]
        if by and first[name] < by[-1].ends[partition]:
            late[by[-1].who] += 1
    return resent, late


def _derive_hours(file: Path, *, shard: int, shards: int) -> None:
    """As a shard does by itself, but no earlier than when the hour of the run is over."""
    ledger = DuckdbLedger(file, now=lambda: datetime.now(UTC), shard=shard, shards=shards)
    Merging(ledger)(before=datetime.now(UTC) + timedelta(hours=2))
    ledger.close()


def _cells(db: duckdb.DuckDBPyConnection, table: str) -> Counter[Cell]:
    time, form = _FORMS[table]
    found = db.execute(_CELLS.format(table=table, time=time, form=form)).fetchall()
    return Counter({tuple(cell): int(amount) for *cell, amount in found})


def recount_wrong(found: Recounted | None, rows: int) -> list[str]:
    """Where a recount is not the ledgers' ``rows``."""
    if found is None:
        return ["the rows were not counted again"]
    said = [f"a recount differs from the ledgers: {'; '.join(found.differences[:3])}"]
    return [
        *(said if found.differences else []),
        *(
            f"a recount by {how} has {count} rows, the ledgers have {rows}"
            for how, count in (("day", found.rows), ("whole", found.whole))
            if count != rows
        ),
    ]


def statement_wrong(found: Stated | None, accepted: set[Name], true: Counter[Sum]) -> list[str]:
    """Where a statement has not what was accepted, or not the true sums."""
    if found is None:
        return ["there is no statement"]
    wanted = Counter(source for source, _ in accepted)
    return [
        *([] if found.remade else ["raw rows make another statement than the one that stands"]),
        *_differing("sources of the statement", wanted, found.rows),
        *_differing("sums of the statement", true, found.sums),
    ]


def _sums(minutes: Counter[Cell]) -> Counter[Sum]:
    """As a statement has them: by customer, application, unit or outcome."""
    sums: Counter[Sum] = Counter()
    for (_, customer, app, _, _, kind, name), amount in minutes.items():
        if kind in {"outcome", "unit"}:
            sums[customer, app, kind, name] += amount
    return sums


def _hourly(minutes: Counter[Cell]) -> Counter[Cell]:
    hours: Counter[Cell] = Counter()
    for (minute, *rest), amount in minutes.items():
        hours[(minute[:13], *rest)] += amount  # type: ignore[index]  # the rest of a cell
    return hours


def _named(what: str, names: set[Name]) -> list[str]:
    some = ", ".join("/".join(name) for name in sorted(names)[:3])
    return [f"{len(names)} {what}: {some}"] if names else []


def _differing(what: str, true: Counter[K], held: Counter[K]) -> list[str]:
    cells = {cell for cell in true.keys() | held.keys() if true[cell] != held[cell]}
    some = [f"{cell} is {held[cell]}, truly {true[cell]}" for cell in sorted(cells, key=str)[:2]]
    return [f"{len(cells)} {what} differ: {'; '.join(some)}"] if cells else []
