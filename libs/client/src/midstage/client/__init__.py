"""The midstage command line and SDK."""

from typing import Final

VERSION: Final = "0.1.0"
"""The version of this distribution; a test holds it to ``pyproject.toml``."""
