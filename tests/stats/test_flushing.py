"""A file is on the disk, and its name in its folder, before anything says that it is there."""

from pathlib import Path

import pytest

from midstage.stats.adapters.seen import HashFiles
from midstage.testkit.clock import FrozenClock

from .conftest import NOON, request
from .flushing import Diary, diary
from .periods import Shard
from .seen import hashes

SOURCE = "edges/edge-1/a"

__all__ = ["diary"]


@pytest.fixture
def shard(tmp_path: Path, diary: Diary) -> Shard:
    return Shard(directory=tmp_path, reached=diary.reached, segment_rows=2)


def test_a_segment_before_the_commit_that_names_it(shard: Shard, diary: Diary) -> None:
    folder = f"{shard.file.name}.archive"
    assert shard.directory.name in diary.lines  # where the folder's own name is
    diary.lines.clear()
    shard.count(request(SOURCE, 1), request(SOURCE, 2))
    assert diary.upto("ledger:inserted") == [
        "segments:written",
        "segment-2026-01-01T12-00000000000000000001.parquet",
        folder,
        "segments:durable",
    ]
    shard.ledger.close()


def test_a_file_of_the_archive_before_rows_leave_for_it(shard: Shard, diary: Diary) -> None:
    shard.count(request(SOURCE, 1))
    diary.lines.clear()
    assert shard.archive.archive(NOON, upto_row=1) == 1
    assert diary.upto("archive:leaving") == [
        "archive:naming",
        "archive:written",
        "requests-2026-01-01T12-000.parquet.unfinished",
        f"{shard.file.name}.archive",
        "archive:renamed",
    ]
    shard.ledger.close()


def test_hashes_and_those_merged_before_anything_rests_on_them(
    tmp_path: Path, diary: Diary
) -> None:
    seen = HashFiles(tmp_path, last_row=0, now=FrozenClock().now, reached=diary.reached, seal_at=8)
    diary.lines.clear()
    for row in range(1, 9):
        seen.absorb(hashes(range(8 * row, 8 * row + 8)), row=row)
    sealed = [at for at, line in enumerate(diary.lines) if line == "seen:sealed"]
    assert (len(sealed), diary.lines.count("seen:merged")) == (9, 1)
    for at in sealed:
        draft, *then = diary.lines[at - 3 : at]
        assert draft.endswith(".seen.draft")
        assert then == ["seen:drafted", tmp_path.name]
    seen.close()
