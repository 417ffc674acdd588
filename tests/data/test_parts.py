"""Hours become files: closed when over, late rows apart, a crash anywhere leaves each row once."""

import hashlib
import itertools
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # the same
import pytest

from midstage.contracts.errors import UnavailableError
from midstage.data.main import Service
from midstage.data.model import Part
from midstage.eventlog.failpoint import nothing
from midstage.testkit.clock import NOON

from .conftest import HOUR, MINUTE, SECOND, Bench, client, numbers
from .test_keeping import CrashError, Crashing

PART_PLACES = ("part:written", "part:renamed", "part:unstaged", "part:committed")


def kept(bench: Bench, *times: timedelta) -> Service:
    """A data that has read a line for each of these times after noon."""
    bench.write(
        *(bench.edge().line(seq, time=NOON + time) for seq, time in enumerate(times, start=1))
    )
    return bench.caught_up()


def closed(bench: Bench, service: Service, *, after: timedelta = 3 * HOUR) -> list[Part]:
    bench.clock.advance(after)
    service.closing.turn()
    return list(service.store.parts.present())


def on_disk(bench: Bench) -> set[str]:
    return {
        str(path.relative_to(bench.folder)) for path in bench.folder.rglob("*") if path.is_file()
    }


def test_an_hour_that_is_over_becomes_a_sorted_file_and_a_manifest(bench: Bench) -> None:
    service = kept(bench, 3 * SECOND, 1 * SECOND, 2 * SECOND, HOUR)
    first, second = closed(bench, service)
    assert (first.hour, first.number, first.rows) == (NOON, 1, 3)
    assert (first.first, first.last) == (NOON + SECOND, NOON + 3 * SECOND)
    assert (second.hour, second.rows) == (NOON + HOUR, 1)
    path = bench.folder / "2026-01-01T12" / "part-1.parquet"
    content = path.read_bytes()
    assert (first.bytes, first.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert pq.read_table(path)["seq"].to_pylist() == [2, 3, 1]
    (offsets,) = first.offsets.values()
    assert (offsets.first, offsets.last) == (0, 2)
    manifest = json.loads(path.with_suffix(".json").read_bytes())
    assert (manifest["sha256"], manifest["schema"], manifest["rows"]) == (first.sha256, 1, 3)
    (listed, _) = client(service).get("/v1/records/parts").json()["parts"]
    assert listed == manifest
    assert numbers(service) == [2, 3, 1, 4]


def test_analysts_find_the_right_types_in_a_file(bench: Bench) -> None:
    said: dict[str, object] = {
        "usage": {"images": 0.1, "input_tokens": 3},
        "labels": {"a": "b"},
        "ttft_ms": 1.5,
    }
    bench.write(bench.edge().line(1, **said), bench.stray("x", time=NOON + SECOND))
    closed(bench, bench.caught_up())
    file = bench.folder / "2026-01-01T12" / "part-1.parquet"
    schema = {field.name: field.type for field in pq.read_schema(file)}
    assert schema["time"] == pa.timestamp("us", tz="UTC")
    assert (schema["seq"], schema["status"]) == (pa.int64(), pa.int32())
    assert (schema["duration_ms"], schema["estimated"]) == (pa.float64(), pa.bool_())
    assert schema["usage"].item_type == pa.decimal128(19, 6)
    assert schema["labels"].item_type == pa.string()
    first, second = pq.read_table(file).to_pylist()
    assert dict(first["usage"]) == {"images": Decimal("0.1"), "input_tokens": 3}
    assert (second["seq"], second["id"], second["ttft_ms"]) == (None, "x", None)
    db = duckdb.connect()
    ((images, time),) = db.execute(
        f"SELECT sum(usage['images']), min(time) FROM '{file}'"
    ).fetchall()
    assert images == Decimal("0.1")
    assert time == NOON


def test_an_hour_stays_open_for_its_grace_and_while_its_rows_still_come(bench: Bench) -> None:
    service = kept(bench, 59 * MINUTE)
    assert closed(bench, service, after=64 * MINUTE) == []
    bench.write(bench.edge().line(2, time=NOON))
    bench.reads_on(service)
    assert closed(bench, service, after=4 * MINUTE) == []
    (part,) = closed(bench, service, after=1 * MINUTE)
    assert part.rows == 2
    assert closed(bench, service) == [part]


def test_rows_that_trickle_in_do_not_keep_an_hour_open_for_ever(bench: Bench) -> None:
    service = kept(bench, SECOND)
    bench.clock.advance(HOUR)
    for seq in range(2, 20):
        bench.write(bench.edge().line(seq, time=NOON))
        bench.reads_on(service)
        if closed(bench, service, after=4 * MINUTE):
            break
    (part,) = service.store.parts.present()
    assert part.rows == 16


def test_late_rows_of_a_closed_hour_become_a_further_part(bench: Bench) -> None:
    service = kept(bench, 2 * SECOND)
    (first,) = closed(bench, service)
    bench.write(bench.edge().line(2, time=NOON + SECOND), bench.edge().line(1, time=NOON))
    bench.reads_on(service)
    assert numbers(service) == [2, 1]
    again, second = closed(bench, service)
    assert again == first
    assert (second.hour, second.number, second.rows) == (NOON, 2, 1)
    assert numbers(service) == [2, 1]
    assert numbers(bench.caught_up()) == [2, 1]


def test_a_full_hour_becomes_several_parts_that_follow_each_other(bench: Bench) -> None:
    bench.changed = {"part_rows": 4}
    service = kept(bench, *(n * SECOND / 2 for n in range(11, 0, -1)))
    parts = closed(bench, service)
    assert [(part.number, part.rows) for part in parts] == [(1, 3), (2, 4), (3, 4)]
    assert all(one.last < two.first for one, two in itertools.pairwise(parts))
    assert numbers(service) == [*range(11, 0, -1)]


@pytest.mark.parametrize("place", PART_PLACES)
def test_a_crash_while_an_hour_is_closed_loses_and_doubles_no_row(bench: Bench, place: str) -> None:
    bench.reached = Crashing(place)
    service = kept(bench, SECOND, 2 * SECOND, HOUR)
    with pytest.raises(CrashError, match=place):
        closed(bench, service)
    bench.reached = nothing
    again = bench.caught_up()
    assert numbers(again) == [1, 2, 3]
    parts = closed(bench, again)
    assert [part.rows for part in parts] == [2, 1]
    assert numbers(again) == [1, 2, 3]
    files = {part.file for part in parts}
    assert on_disk(bench) == files | {file.replace(".parquet", ".json") for file in files}


def test_what_a_crash_left_beside_is_removed_at_the_next_start_and_nothing_else(
    bench: Bench,
) -> None:
    (part,) = closed(bench, kept(bench, SECOND))
    folder = bench.folder / "2026-01-01T12"
    (folder / "part-2.parquet").write_bytes(b"never in the manifest")
    (folder / "part-1.parquet.draft").write_bytes(b"half")
    (folder / "notes.txt").write_text("somebody's own")
    (folder / "part-1.json").unlink()
    assert numbers(bench.caught_up()) == [1]
    names = {"part-1.parquet", "part-1.json", "notes.txt"}
    assert on_disk(bench) == {f"2026-01-01T12/{name}" for name in names}
    assert json.loads((folder / "part-1.json").read_bytes())["sha256"] == part.sha256


def test_a_part_that_somebody_removed_is_named_and_the_others_are_read(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    closed(bench, kept(bench, SECOND, HOUR))
    (bench.folder / "2026-01-01T12" / "part-1.parquet").unlink()
    assert numbers(bench.caught_up()) == [2]
    assert "part_missing" in caplog.text


def test_parts_go_when_they_are_too_old(bench: Bench) -> None:
    bench.changed = {"retention": timedelta(days=2)}
    service = kept(bench, SECOND, HOUR)
    assert len(closed(bench, service)) == 2
    bench.clock.advance(timedelta(days=1, hours=22))
    service.closing.turn()
    (left,) = service.store.parts.present()
    assert left.hour == NOON + HOUR
    assert numbers(service) == [2]
    assert {Path(name).parent.name for name in on_disk(bench)} == {"2026-01-01T13"}


def test_parts_go_oldest_first_when_the_disk_is_full_enough(bench: Bench) -> None:
    service = kept(bench, SECOND, HOUR, 2 * HOUR)
    bench.clock.advance(12 * HOUR)
    service.closing.turn()
    parts = service.store.parts.present()
    assert len(parts) == 3
    bench.changed = {"parts_bytes": parts[1].bytes + parts[2].bytes}
    again = bench.caught_up()
    again.closing.turn()
    assert list(again.store.parts.present()) == list(parts[1:])
    bench.write(bench.edge().line(1, time=NOON + SECOND), bench.edge().line(4, time=NOON))
    bench.reads_on(again)
    assert numbers(again) == [4, 2, 3]
    bench.changed = {}
    last = bench.caught_up()
    assert closed(bench, last)[0].number == 2, "a number is not given again"


def test_who_reads_when_a_part_is_removed_reads_to_the_end(bench: Bench) -> None:
    service = kept(bench, SECOND)
    parts = closed(bench, service)
    with service.store.queries().snapshot() as records:
        service.store.parts.remove(parts)
        file = bench.folder / parts[0].file
        assert numbers(service) == []
        assert file.exists()
        del records
    assert not file.exists()


def test_a_store_whose_newest_transactions_stand_alone_is_not_begun_anew(bench: Bench) -> None:
    kept(bench, SECOND)
    bench.stop()
    (bench.directory / "data" / "store.duckdb").rename(bench.directory / "away")
    (bench.directory / "data" / "store.duckdb.wal").touch()
    with pytest.raises(UnavailableError, match="is gone"):
        bench.start()
