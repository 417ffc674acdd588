"""What a person sees of a run: lines, and below them a table that stays, where there is a terminal.

Everything goes to stderr: stdout is for the report.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from midstage.local.live import Moment, plain, table


class Screen:
    """Lines of progress and the live table; plain lines without a terminal."""

    def __init__(
        self, console: Console, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Write to ``console``; times are since now."""
        self._console = console
        self._monotonic = monotonic
        self._begun = monotonic()
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._showing = False

    def say(self, line: str) -> None:
        """One line, with the seconds since the start; any thread may call it."""
        elapsed = self._monotonic() - self._begun
        self._console.print(
            f"{elapsed:7.1f} s  {line}", markup=False, highlight=False, soft_wrap=True
        )

    def show(self, moment: Moment) -> None:
        """The table as it is now, or its figures as a line."""
        if not self._console.is_terminal:
            self.say(plain(moment))
            return
        if not self._showing:
            self._showing = True
            self._live.start()
        self._live.update(table(moment), refresh=True)

    def __enter__(self) -> Self:
        """The screen."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        """Leave the table as it was last."""
        self.rest()

    def rest(self) -> None:
        """End the table; a later ``show`` begins a new one."""
        if self._showing:
            self._showing = False
            self._live.stop()
