"""Says on stderr how far it is: over the same line on a terminal, else once a second."""

import sys
import time

import typer

EACH_S = 1.0
ON_TERMINAL_EACH_S = 0.1


class Teller:
    """Not more often than can be read; what was said ``last`` stays."""

    def __init__(self) -> None:
        """Nothing is said yet."""
        self._on_terminal = sys.stderr.isatty()
        self._each_s = ON_TERMINAL_EACH_S if self._on_terminal else EACH_S
        self._said_at = -EACH_S

    def __call__(self, text: str) -> None:
        """How far it is now."""
        if time.monotonic() - self._said_at >= self._each_s:
            self._said_at = time.monotonic()
            self._say(text, nl=not self._on_terminal)

    def last(self, text: str) -> None:
        """What stays."""
        self._say(text, nl=True)

    def _say(self, text: str, *, nl: bool) -> None:
        typer.echo(f"\r\x1b[K{text}" if self._on_terminal else text, err=True, nl=nl)
