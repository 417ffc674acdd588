"""What can go wrong on this machine; each text is one sentence that names the remedy."""

from midstage.contracts.errors import MidstageError


class PlatformError(MidstageError):
    """The embedded platform can't start or go on, and a person has to do something about it."""
