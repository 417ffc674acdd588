import gc
import json
from collections.abc import Iterator

import pytest

from midstage.chassis import settings
from midstage.chassis.start import start


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
