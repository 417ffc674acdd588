import threading
from pathlib import Path

import pytest

from midstage.local import envoy, fetch, jars
from midstage.local.errors import PlatformError

PINNED = {"a.jar": "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"}  # aaa


def check(at: Path) -> None:
    fetch.verify(at, PINNED)


def good(at: Path) -> None:
    (at / "a.jar").write_bytes(b"aaa")


def test_a_folder_is_filled_once_and_then_taken_from_the_cache(tmp_path: Path) -> None:
    filled: list[Path] = []

    def fill(at: Path) -> None:
        filled.append(at)
        good(at)

    first = fetch.folder("kafka", within=tmp_path, fill=fill, check=check)
    second = fetch.folder("kafka", within=tmp_path, fill=fill, check=check)
    assert first == second == tmp_path / "kafka"
    assert len(filled) == 1


def test_a_download_that_is_not_the_pinned_file_is_refused_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    def forged(at: Path) -> None:
        (at / "a.jar").write_bytes(b"aab")

    with pytest.raises(PlatformError, match=r"a\.jar is not the pinned file"):
        fetch.folder("kafka", within=tmp_path, fill=forged, check=check)
    assert list(tmp_path.iterdir()) == []


def test_a_file_tampered_with_in_the_cache_is_named_with_the_remedy(tmp_path: Path) -> None:
    at = fetch.folder("kafka", within=tmp_path, fill=good, check=check)
    (at / "a.jar").write_bytes(b"evil")
    with pytest.raises(PlatformError, match=f"delete {at} and run again"):
        fetch.folder("kafka", within=tmp_path, fill=good, check=check)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    at = fetch.folder("kafka", within=tmp_path, fill=good, check=check)
    (at / "a.jar").unlink()
    with pytest.raises(PlatformError, match=r"a\.jar is missing"):
        fetch.folder("kafka", within=tmp_path, fill=good, check=check)


def test_a_fill_that_breaks_off_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    def broken(at: Path) -> None:
        good(at)
        raise PlatformError("the network went away")

    with pytest.raises(PlatformError, match="network went away"):
        fetch.folder("kafka", within=tmp_path, fill=broken, check=check)
    assert not (tmp_path / "kafka").exists()


def test_two_that_fetch_at_once_both_get_the_folder(tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=60)
    got: list[Path] = []

    def fill(at: Path) -> None:
        together.wait()  # both found no folder, both fill
        good(at)

    def fetching() -> None:
        got.append(fetch.folder("kafka", within=tmp_path, fill=fill, check=check))

    threads = [threading.Thread(target=fetching) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == [tmp_path / "kafka"] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["kafka"]


def test_a_full_disk_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"GB free and 1000000 GB are needed"):
        fetch.require_room(tmp_path, least=10**6 * 1024**3)


def test_every_jar_is_pinned_by_coordinates_and_digest() -> None:
    pinned = jars.read(jars.LOCK)
    assert len(pinned) == 45
    assert all(len(coordinates.split(":")) == 3 for coordinates in pinned)
    assert all(len(bytes.fromhex(sha)) == 32 for sha in pinned.values())


def test_no_lock_names_a_registry() -> None:
    for lock in (jars.LOCK, envoy.LOCK):
        assert "://" not in lock.read_text()
        assert "index-url" not in lock.read_text()
