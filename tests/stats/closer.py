"""A program that closes November over one ledger file, and can be killed anywhere on the way."""

import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.kafka import kafka_log

from .periods import NOBODY, NOVEMBER, Bills, Shard, closing


def main(env: Mapping[str, str], *, reached: Callable[[str], None] = lambda _: None) -> int:
    """Archive, close, and print the statement's hash as its raw rows give it."""
    shard = Shard(directory=Path(env["CLOSER_DIRECTORY"]), reached=reached)
    log = kafka_log(env["CLOSER_KAFKA"])
    bills = Bills(log=log, topic=env["CLOSER_TOPIC"], made=True)
    with bills.followed(reached=reached) as versions:
        shard.archived()
        desk = closing(versions, [shard], reached)
        closed = desk.close(NOVEMBER, NOBODY, uuid.uuid4().hex)
        statement = desk.statement(NOVEMBER.name, from_rows=True)
    shard.ledger.close()
    sys.stdout.write(f"{closed.sha256} {closed.seals[0].row} {len(statement)}\n")
    return 0
