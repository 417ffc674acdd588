"""envoyproxy/ratelimit itself and throttle, asked the same: what they answer is equal.

``make test-reference`` builds that product at its first use, by Go; it needs Redis too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import grpc
import msgspec
import pytest
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)

from midstage.contracts import topics
from midstage.throttle.config import RuleSettings
from tests.bench import reference
from tests.ports import free_port
from tests.throttle.conftest import memory, running
from tests.throttle.reference.random_rules import question_of, rules_of

DOMAINS: Final = 40
QUESTIONS: Final = 100
"""Of each domain; with so few keys counters are met again and again, and go over."""
METHOD: Final = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
WITHIN_S: Final = 60.0

Ask = Callable[[Any], Any]


@pytest.mark.slow
@pytest.mark.reference
def test_whatever_is_asked_the_answers_are_equal(tmp_path: Path) -> None:
    folders = [tmp_path / "reference" / "config", tmp_path / "rules"]
    for folder in folders:
        write(folder)
    with theirs(tmp_path / "reference") as ask_them, ours(tmp_path, folders[1]) as ask_us:
        seen: set[int] = set()
        for number in range(DOMAINS):
            chance = Random(-1 - number)
            for _ in range(QUESTIONS):
                asked = question_of(f"d{number}", chance)
                expected = ask_them(asked)
                assert told(ask_us(asked)) == told(expected), f"seed {number}: {asked}"
                seen.add(expected.overall_code)
    assert seen == {rls_pb2.RateLimitResponse.OK, rls_pb2.RateLimitResponse.OVER_LIMIT}


def write(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(DOMAINS):
        rules = rules_of(f"d{number}", Random(number))
        (folder / f"d{number}.yaml").write_bytes(msgspec.yaml.encode(rules))


def told(answer: Any) -> Any:
    """All of an answer but how long a window still lasts: they are asked one after the other."""
    kept = type(answer).FromString(answer.SerializeToString())
    for status in kept.statuses:
        status.ClearField("duration_until_reset")
    return kept


@contextmanager
def theirs(directory: Path) -> Iterator[Ask]:
    with reference.ratelimit(directory) as (port, _), asking(port) as ask:
        yield ask


@contextmanager
def ours(directory: Path, folder: Path) -> Iterator[Ask]:
    port = free_port()
    rules = RuleSettings(folder=folder)
    with (
        running(memory(), topics.LIMITS, directory, grpc_port=port, rules=rules),
        asking(port) as ask,
    ):
        yield ask


@contextmanager
def asking(port: int) -> Iterator[Ask]:
    """By messages with all fields that are newer than the library's."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
            METHOD,
            request_serializer=lambda asked: asked.SerializeToString(),
            response_deserializer=rls_pb2.RateLimitResponse.FromString,
        )
        yield lambda asked: call(asked, timeout=WITHIN_S)
