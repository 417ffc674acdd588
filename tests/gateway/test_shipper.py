"""The request log becomes events: none lost, none counted twice, whatever dies on the way."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.topics import REQUESTS
from midstage.eventlog.dead_letters import REASON, SEQ
from midstage.gateway.adapters.positions import PositionFiles, SupersededError
from midstage.gateway.decide.shipping import furthest, lines
from midstage.gateway.model.shipping import Position
from midstage.gateway.stream import beats
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S, looping
from .shipping import Yard

DEAD = REQUESTS.dead_letters("gateway")


class CrashError(Exception):
    """The process dies here."""


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def crash_at(place: str, nth: int) -> Callable[[str], None]:
    left = [nth]

    def reached(where: str) -> None:
        if where == place:
            left[0] -= 1
            if left[0] == 0:
                raise CrashError(place)

    return reached


def test_lines_are_numbered_from_one_and_go_on(yard: Yard) -> None:
    stem = yard.envoy_starts()
    refs = list(yard.requests_end(3))
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: yard.refs() == refs)
        refs += yard.requests_end(2)
        within(DEADLINE_S, lambda: yard.refs() == refs)

    assert sorted(yard.shipped()) == [(f"edges/edge-1/{stem}", n) for n in range(1, 6)]
    assert yard.copies() == 0


def test_a_stopped_shipper_goes_on_where_it_was(yard: Yard) -> None:
    yard.envoy_starts()
    refs = list(yard.requests_end(100))
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: len(yard.refs()) == 100)
    refs += yard.requests_end(100)
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: len(yard.refs()) == 200)

    assert (yard.refs(), yard.copies()) == (refs, 0)


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("place", ["ship:sent", "ship:acknowledged"])
def test_a_crash_anywhere_loses_and_doubles_nothing(yard: Yard, place: str, nth: int) -> None:
    first = yard.envoy_starts()
    refs = list(yard.requests_end(50))
    with looping(yard.shipper(reached=crash_at(place, nth))) as crashing:
        while not crashing.ended:
            refs += yard.requests_end(50)
            within(DEADLINE_S, lambda: len(yard.refs()) == yard.lines_written or crashing.ended)
        crashing.dies_of(CrashError)
    yard.envoy_starts()
    refs += yard.requests_end(50)

    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: len(yard.refs()) == len(refs))
        within(DEADLINE_S, lambda: first not in yard.files())

    assert yard.refs() == refs
    assert yard.copies() > 0  # the crash bit: something was sent again


def test_a_lost_acknowledgement_is_sent_again(yard: Yard) -> None:
    yard.envoy_starts()
    refs = list(yard.requests_end(10))
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: len(yard.refs()) == 10)

        def resent() -> bool:
            yard.log.lose_next_acknowledgement()  # it may be a heartbeat's: then once more
            refs.extend(yard.requests_end(10))
            within(DEADLINE_S, lambda: len(yard.refs()) == len(refs))
            return yard.copies() > 0

        within(DEADLINE_S, resent)

    assert yard.refs() == refs


def test_while_kafka_is_away_everything_waits_and_nothing_is_lost(yard: Yard) -> None:
    first = yard.envoy_starts()
    refs = list(yard.requests_end(10))
    shipper = yard.shipper()
    with looping(shipper):
        within(DEADLINE_S, lambda: len(yard.refs()) == 10)
        yard.log.cut()
        refs += yard.requests_end(10)
        yard.envoy_starts()
        refs += yard.requests_end(10)
        within(DEADLINE_S, lambda: str(shipper.progress()).startswith("records wait"))
        assert first in yard.files()
        yard.log.mend()
        within(DEADLINE_S, lambda: len(yard.refs()) == 30)
        within(DEADLINE_S, lambda: first not in yard.files())
        within(DEADLINE_S, lambda: shipper.progress() is None)

    assert (yard.refs(), yard.copies()) == (refs, 0)


def test_a_shipper_that_starts_without_kafka_says_so_and_waits(yard: Yard) -> None:
    yard.envoy_starts()
    yard.requests_end(1)
    yard.log.cut()
    shipper = yard.shipper()
    with looping(shipper):
        within(DEADLINE_S, lambda: shipper.progress() == "the broker is away")
        yard.log.mend()
        within(DEADLINE_S, lambda: yard.refs() == ["r1"])


def test_a_line_that_is_none_is_a_hole_with_a_name(yard: Yard) -> None:
    yard.envoy_starts()
    yard.requests_end(1)
    yard.write(b"this is no JSON\n")
    yard.write(b"x" * 3_000_000 + b"\n")
    yard.requests_end(1)
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: yard.refs() == ["r1", "r2"])
        within(DEADLINE_S, lambda: len(yard.records(DEAD)) == 2)

    assert [number for _, number in sorted(yard.shipped())] == [1, 4]
    letters = yard.records(DEAD)
    headers = [dict(letter.headers) for letter in letters]
    assert [int(header[SEQ]) for header in headers] == [2, 3]
    assert b"longer than" in headers[1][REASON]
    assert letters[0].value == b"this is no JSON"


def test_the_torn_line_of_a_dead_envoy_is_counted_and_its_file_goes(yard: Yard) -> None:
    first = yard.envoy_starts()
    yard.requests_end(2)
    yard.write(b'{"id": "half a li')
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: len(yard.refs()) == 2)
        assert yard.files() == [first]  # it may still grow
        second = yard.envoy_starts()
        within(DEADLINE_S, lambda: yard.files() == [second])

    (closed,) = yard.closings()
    assert closed.source == f"edges/edge-1/{first}"
    assert (closed.data.highest, closed.data.torn) == (2, 1)


def test_a_file_goes_only_when_kafka_knows_that_it_ended(yard: Yard) -> None:
    first = yard.envoy_starts()
    yard.requests_end(2)
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: len(yard.refs()) == 2)
        yard.log.lose_next_acknowledgement()
        yard.envoy_starts()
        within(DEADLINE_S, lambda: first not in yard.files())

    assert {(event.data.highest, event.data.torn) for event in yard.closings()} == {(2, 0)}


def test_an_empty_source_is_closed_too(yard: Yard) -> None:
    first, second = yard.envoy_starts(), yard.envoy_starts()
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: yard.files() == [second])

    (closed,) = yard.closings()
    assert (closed.source, closed.data.highest) == (f"edges/edge-1/{first}", 0)


def test_a_large_file_is_rotated_and_its_successor_counts_from_one(tmp_path: Path) -> None:
    yard = Yard(tmp_path, rotate_bytes=4096)
    first = yard.envoy_starts()
    refs = list(yard.requests_end(40))
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: yard.files() and first not in yard.files())
        refs += yard.requests_end(2)
        within(DEADLINE_S, lambda: len(yard.refs()) == 42)

    assert yard.refs() == refs
    assert sorted(number for _, number in yard.shipped()) == sorted([*range(1, 41), 1, 2])


def test_an_envoy_that_missed_the_rotation_is_told_again(tmp_path: Path) -> None:
    yard = Yard(tmp_path, rotate_bytes=4096)
    first = yard.envoy_starts()
    yard.requests_end(40)
    yard.envoy.answers = False
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: len(yard.refs()) == 40)
        within(DEADLINE_S, lambda: not (yard.log_dir / "current.jsonl").exists())
        assert yard.files() == [first]
        yard.envoy.answers = True
        within(DEADLINE_S, lambda: yard.files() and first not in yard.files())


def test_a_zombie_doubles_nothing_and_ends(yard: Yard) -> None:
    """It sleeps between Kafka's acknowledgement and its position, while another takes over."""
    first = yard.envoy_starts()
    refs = list(yard.requests_end(20))
    asleep, wakes = threading.Event(), threading.Event()

    def sleeps(place: str) -> None:
        if place == "ship:acknowledged":
            asleep.set()
            wakes.wait(DEADLINE_S)

    with looping(yard.shipper(reached=sleeps)) as zombie:
        assert asleep.wait(DEADLINE_S)
        refs += yard.requests_end(20)
        with looping(yard.shipper()):
            within(DEADLINE_S, lambda: len(yard.refs()) == 40)
            second = yard.envoy_starts()
            refs += yard.requests_end(20)
            within(DEADLINE_S, lambda: len(yard.refs()) == 60)
            within(DEADLINE_S, lambda: yard.files() == [second])
            wakes.set()
            zombie.dies_of(SupersededError)
            refs += yard.requests_end(20)
            within(DEADLINE_S, lambda: len(yard.refs()) == 80)

    known = PositionFiles(yard.state_dir).take()
    assert (known[second].number, first in yard.files()) == (40, False)
    assert yard.refs() == refs
    assert yard.copies() == 20  # what was acknowledged and not yet on disk, by the successor


def test_what_a_zombie_writes_undoes_nothing(tmp_path: Path) -> None:
    zombie, successor, third = (PositionFiles(tmp_path) for _ in range(3))
    zombie.take()
    successor.take()
    successor.moved({"file": Position(offset=900, number=9)})
    # it had looked for a successor before there was one, and writes now
    (tmp_path / "positions-000000000001.json").write_bytes(
        b'{"file": {"offset": 100, "number": 1}, "older": {"offset": 5, "number": 1}}'
    )

    with pytest.raises(SupersededError, match="taken over"):
        zombie.moved({"file": Position(offset=100, number=1)})
    assert third.take() == {
        "file": Position(offset=900, number=9),
        "older": Position(offset=5, number=1),
    }
    with pytest.raises(SupersededError):
        successor.moved({"file": Position(offset=1000, number=10)})


def test_a_file_that_somebody_removed_stops_nobody(yard: Yard) -> None:
    first = yard.envoy_starts()
    yard.requests_end(2)
    with looping(yard.shipper()):
        within(DEADLINE_S, lambda: len(yard.refs()) == 2)
        (yard.log_dir / f"{first}.jsonl").unlink()
        yard.envoy_starts()
        yard.requests_end(1)
        within(DEADLINE_S, lambda: yard.refs() == ["r1", "r2", "r3"])


def test_heartbeats_say_how_far_each_source_is(yard: Yard) -> None:
    first = yard.envoy_starts()
    yard.requests_end(3)
    with looping(yard.shipper()):
        beat = within(DEADLINE_S, lambda: [b for b in yard.beats() if b.data.highest == 3])[0]

    assert beat.source == f"edges/edge-1/{first}"
    assert beat.data.newest
    assert beat.data.gauges is not None
    assert [(g.app, g.in_flight, g.pending) for g in beat.data.gauges] == [("chat", 3, 1)]
    last = max(event.time for event in yard.shipped().values())
    assert within(60, lambda: beat.data.complete_until) <= beat.time
    assert beat.data.highest == 3 or beat.data.complete_until <= last


def test_only_the_newest_source_carries_gauges(yard: Yard) -> None:
    first = yard.envoy_starts()
    yard.requests_end(1)
    yard.log.lose_next_acknowledgement()
    with looping(yard.shipper()):
        within(DEADLINE_S, yard.beats)
        yard.log.cut()
        yard.requests_end(1)
        second = yard.envoy_starts()
        yard.requests_end(1)
        yard.log.mend()
        within(
            DEADLINE_S,
            lambda: [b for b in yard.beats() if b.source.endswith(second)],
        )

    for beat in yard.beats():
        assert beat.data.newest or beat.data.gauges is None
        assert beat.data.newest or beat.source.endswith(first)


def test_while_envoy_does_not_answer_gauges_are_unknown_and_time_stands_still(
    yard: Yard,
) -> None:
    yard.envoy_starts()
    yard.envoy.answers = False
    with looping(yard.shipper()):
        blind = within(DEADLINE_S, yard.beats)[0]
        yard.requests_end(1)
        later = within(DEADLINE_S, lambda: [b for b in yard.beats() if b.data.highest == 1])[0]
        yard.envoy.answers = True
        seeing = within(DEADLINE_S, lambda: [b for b in yard.beats() if b.data.gauges])[0]

    assert blind.data.gauges is None
    assert later.data.complete_until == blind.data.complete_until
    assert seeing.data.complete_until > later.data.complete_until


def test_a_time_is_complete_only_when_everything_before_it_is_acknowledged(yard: Yard) -> None:
    """Lines come all the time, Kafka goes and comes; each beat is held to its word."""
    yard.envoy_starts()
    with looping(yard.shipper()):
        for _ in range(4):
            yard.requests_end(25)
            within(DEADLINE_S, lambda: len(yard.refs()) == yard.lines_written)
            yard.log.cut()
            yard.requests_end(25)
            threading.Event().wait(beats.BEAT_EVERY_S / 2)  # a beat is due while Kafka is away
            yard.log.mend()
        within(DEADLINE_S, lambda: yard.beats()[-1].data.highest == yard.lines_written)
        events = yard.shipped()

    assert len(yard.beats()) >= 2
    for beat in yard.beats():
        promised = {
            number for (_, number), event in events.items() if event.time < beat.data.complete_until
        }
        assert max(promised, default=0) <= beat.data.highest


@given(
    texts=st.lists(st.binary(max_size=20).map(lambda text: text.replace(b"\n", b""))),
    cuts=st.lists(st.integers(0, 400)),
)
def test_lines_are_the_same_however_the_file_is_read(texts: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(text + b"\n" for text in texts) + b"torn"
    found, offset, number = [], 0, 0
    for end in [*sorted(cuts), len(whole)]:
        for line in lines(whole[offset:end], offset=offset, number=number):
            found.append(line)
            offset, number = line.end, line.number

    assert [line.text for line in found] == texts
    assert [line.number for line in found] == list(range(1, len(texts) + 1))
    assert whole[offset:] == b"torn"


positions = st.dictionaries(
    st.sampled_from("abc"),
    st.integers(0, 100).map(lambda n: Position(offset=n * 10, number=n)),
)


@given(known=st.lists(positions))
def test_the_furthest_position_is_true_in_any_order(known: list[dict[str, Position]]) -> None:
    merged = furthest(known)

    assert merged == furthest(list(reversed(known)))
    for one in known:
        for stem, position in one.items():
            assert merged[stem].number >= position.number
