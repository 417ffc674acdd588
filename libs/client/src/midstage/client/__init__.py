"""The midstage command line and SDK."""

from typing import Final

from midstage.client.frames import usage

__all__ = ["VERSION", "usage"]

VERSION: Final = "0.1.0"
"""The version of this distribution; a test holds it to ``pyproject.toml``."""
