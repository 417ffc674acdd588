"""Keeping from the log: redelivered, resent, crashed, restarted, and each record once."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from midstage.contracts.requests import Outcome
from midstage.eventlog.failpoint import nothing
from midstage.eventlog.log import Message
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S, HOUR, SECOND, Bench, client, found, numbers, reading

PLACES = ("consume:decoded", "records:inserted", "records:committed", "consume:effect-done")


class CrashError(Exception):
    """The process dies here."""


@dataclass
class Crashing:
    """A failpoint that crashes once, at the ``nth`` time that ``place`` is reached."""

    place: str
    nth: int = 1

    def __call__(self, place: str) -> None:
        if place == self.place:
            self.nth -= 1
            if self.nth == 0:
                raise CrashError(place)


def test_a_record_is_what_its_edge_told(bench: Bench) -> None:
    labels = {"team": "ärzte \0 \U0001f600", "": "'; DROP TABLE staged; --"}
    told = {
        "app": "ocr",
        "customer": "globex",
        "status": 503,
        "outcome": Outcome.ERROR,
        "duration_ms": 0.1 + 0.2,
        "endpoint": "/v1/pages?x={}",
        "revision": "3f2a",
        "queue_ms": 4.5,
        "ttft_ms": 20.25,
        "bytes_in": 2**62,
        "bytes_out": 7,
        "usage": {"images": 0.5, "pages": 10**12, "tiny": 0.000001},
        "estimated": True,
        "labels": labels,
        "ref": "r\n1",
        "cluster": "local",
        "pod": "ocr-3f2a-x",
        "trace_id": "ab" * 16,
    }
    time = NOON.replace(microsecond=123_456)
    bench.write(bench.edge().line(7, time=time, **told))
    (record,) = found(bench.caught_up())
    for name, value in told.items():
        assert getattr(record, name) == value, name
    assert (record.time, record.source, record.seq) == (time, bench.edge().source, 7)
    assert record.id == f"{bench.edge().source}/7"
    assert (record.offset, record.partition in range(3)) == (0, True)


def test_what_an_edge_left_out_stays_unknown(bench: Bench) -> None:
    bench.write(bench.stray("x", usage={}))
    (record,) = found(bench.caught_up())
    assert (record.seq, record.queue_ms, record.ttft_ms) == (None, None, None)
    assert (record.usage, record.labels, record.pod) == ({}, {}, "")


def test_each_record_is_kept_once_although_it_was_sent_twice(bench: Bench) -> None:
    lines = [bench.edge().line(seq) for seq in (1, 2, 3)]
    strays = [bench.stray("x"), bench.stray("y")]
    bench.write(*lines, *strays, *lines, *strays)
    assert len(found(bench.caught_up())) == 5
    bench.write(*lines, bench.edge().line(4), *strays, bench.stray("z"))
    service = bench.caught_up()
    assert sorted(record.id for record in found(service, app="chat") if not record.seq) == [*"xyz"]
    assert [number for number in numbers(service) if number] == [1, 2, 3, 4]


@pytest.mark.parametrize("place", PLACES)
def test_a_crash_at_any_place_loses_and_doubles_nothing(bench: Bench, place: str) -> None:
    bench.write(*(bench.edge().line(seq) for seq in (1, 2, 3)), bench.stray("x"))
    bench.reached = Crashing(place)
    with pytest.raises(CrashError, match=place):
        bench.caught_up()
    bench.reached = nothing
    assert sorted(number or 0 for number in numbers(bench.caught_up())) == [0, 1, 2, 3]


def test_what_is_forged_foreign_or_broken_is_put_aside_and_the_true_row_is_kept(
    bench: Bench,
) -> None:
    edge = bench.edge()
    forged = replace(edge, key=bytes(32)).line(1, customer="thief")
    unsigned = structs.replace(edge.line(9), headers=edge.line(9).headers[:1])
    stranger = bench.edge("edge-9").line(1)
    broken = structs.replace(edge.line(None), value=b"\xff{", headers=())
    huge = structs.replace(broken, value=b"x" * (2 * 1024 * 1024))
    foreign = structs.replace(
        bench.stray("f"), value=(bench.stray("f").value or b"").replace(b"completed", b"dreamt")
    )
    ahead = bench.stray("later", time=NOON + timedelta(hours=25))
    fine = bench.stray("fine", usage={"images": 0.0000001})
    slow = bench.stray("slow", duration_ms=1e11)
    large = bench.stray("large", bytes_out=2**62 + 1)
    refused = (forged, unsigned, stranger, broken, huge, foreign, ahead, fine, slow, large)
    bench.write(*refused, edge.line(1), edge.line(2))
    assert numbers(bench.caught_up()) == [1, 2]
    assert found(bench.caught_up())[0].customer == "acme"
    assert {letter.value for letter in bench.dead()} == {one.value for one in refused}


def test_dead_letters_alone_move_the_position(bench: Bench) -> None:
    bench.write(structs.replace(bench.edge().line(1), value=b"?"))
    assert numbers(bench.caught_up()) == []
    assert numbers(bench.caught_up()) == []
    assert len(bench.dead()) == 1


def test_what_is_older_than_the_retention_is_not_kept_nor_its_identity(bench: Bench) -> None:
    bench.changed = {"retention": timedelta(days=1)}
    old, new = NOON - 25 * HOUR, NOON - 23 * HOUR
    edge = bench.edge()
    bench.write(edge.line(1, time=old), edge.line(2, time=new), bench.stray("x", time=new))
    service = bench.caught_up()
    assert [record.seq for record in found(service) if record.seq] == [2]
    bench.clock.advance(timedelta(days=2))
    bench.write(edge.line(2, time=new), bench.stray("x", time=new), edge.line(3, time=NOON + HOUR))
    again = bench.caught_up()
    again.closing.turn()
    again.closing.turn()
    assert numbers(again) == []
    metrics = client(again).get("/metrics").text
    assert "midstage_data_expired_total 3.0" in metrics


def test_a_broker_that_goes_away_and_comes_back_loses_nothing(bench: Bench) -> None:
    assert isinstance(bench.log, MemoryLog)
    bench.write(bench.edge().line(1))
    service = bench.start()
    with reading(service):
        within(DEADLINE_S, lambda: numbers(service) == [1])
        bench.log.cut()
        within(DEADLINE_S, lambda: service.consumer.progress() == "the broker is away")
        bench.log.mend()
        bench.write(bench.edge().line(2))
        within(DEADLINE_S, lambda: numbers(service) == [1, 2])


SENT = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("ab"), st.integers(1, 12)),
        st.tuples(st.none(), st.integers(1, 5)),
    ),
    max_size=25,
)


@pytest.mark.slow
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rounds=st.lists(SENT, min_size=1, max_size=3),
    crashes=st.lists(st.tuples(st.sampled_from(PLACES), st.integers(1, 2)), max_size=3),
)
def test_whatever_is_sent_again_and_whenever_it_crashes_each_record_is_there_once(
    benches: Callable[[], Bench],
    rounds: list[list[tuple[str | None, int]]],
    crashes: list[tuple[str, int]],
) -> None:
    bench = benches()
    failpoints = iter([Crashing(place, nth) for place, nth in crashes])
    for sent in rounds:
        bench.write(*(one_of(bench, file, number) for file, number in sent))
        survive(bench, failpoints)
        for service in bench.started:
            bench.clock.advance(3 * HOUR)
            service.closing.turn()
    kept = [(record.source, record.seq, record.id) for record in found(bench.caught_up())]
    expected = {key for sent in rounds for key in sent}
    assert len(kept) == len(expected)
    assert len(set(kept)) == len(expected)
    bench.stop()


def one_of(bench: Bench, file: str | None, number: int) -> Message:
    time = NOON + number * 20 * SECOND
    if file is None:
        return bench.stray(f"stray-{number}", time=time)
    return bench.edge(file=file).line(number, time=time)


def survive(bench: Bench, failpoints: Iterator[Crashing]) -> None:
    """Run until everything is read, through the next crash if there is one."""
    bench.reached = next(failpoints, nothing)
    with suppress(CrashError):
        bench.caught_up()
    bench.reached = nothing
    bench.caught_up()
