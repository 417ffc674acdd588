import gc
import json
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest

from midstage.chassis import settings
from midstage.chassis.start import start

_BLOCK = 16 << 20
_MAPPED = f"""
import ctypes
from midstage.chassis.start import start
class Ends:
    run = lambda self: 0
class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcd"] + [("mapped", ctypes.c_size_t)]
    _fields_ += [(name, ctypes.c_size_t) for name in "efghi"]
start("stats", Ends)
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.mallinfo2.restype = ctypes.c_void_p, Heap
libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
libc.free(libc.malloc(30 << 20))
before = libc.mallinfo2().mapped
libc.malloc({_BLOCK})
print(libc.mallinfo2().mapped - before)
"""


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[tuple[int, int, int]]:
    """Those of the tests, which are there again afterwards."""
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)
    gc.unfreeze()


class Ends:
    """A composition that ends at once."""

    def run(self) -> int:
        return 7


def test_a_service_that_can_be_composed_runs_to_its_own_end() -> None:
    assert start("stats", Ends) == 7


def test_what_was_composed_is_left_alone_and_garbage_looked_for_seldom(
    thresholds: tuple[int, int, int],
) -> None:
    frozen = gc.get_freeze_count()
    start("stats", Ends)
    assert gc.get_freeze_count() > frozen
    assert gc.get_threshold()[0] > 10 * thresholds[0]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another heap")
def test_a_large_block_goes_back_to_the_system_whatever_was_freed_before() -> None:
    done = subprocess.run([sys.executable, "-c", _MAPPED], check=True, capture_output=True)
    assert int(done.stdout) >= _BLOCK


def test_a_setting_that_is_missing_is_named_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def compose() -> Ends:
        settings.text({}, "MIDSTAGE_STATS_KAFKA")
        return Ends()

    assert start("stats", compose) == 1
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["event"], said["service"]) == ("not_started", "stats")
    assert "MIDSTAGE_STATS_KAFKA" in said["reason"]


def test_what_is_nobodys_fault_but_ours_is_not_hidden() -> None:
    def compose() -> Ends:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        start("stats", compose)
