"""What stats does to its process before anything runs."""

import sys

from midstage.stats.main import main


def test_a_thread_that_waits_for_the_interpreter_has_it_soon() -> None:
    before = sys.getswitchinterval()
    try:
        assert main({}) == 1  # no setting is there; it would run from here on
        assert sys.getswitchinterval() < before / 10
    finally:
        sys.setswitchinterval(before)
