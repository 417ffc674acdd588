"""Four kinds of error; the shell acts on the kind alone (rule 6 of the architecture).

``Refused``: the caller's fault, becomes a 4xx problem or a refusing fact. ``Unreadable``: dead
letter, go on. ``Unavailable``: back off and try again. Anything else: crash, be restarted.
"""


class MidstageError(Exception):
    """The root of midstage's own errors; its text is one sentence that names the remedy."""


class RefusedError(MidstageError):
    """The caller asked for something that can't be done; ``status`` is the answer's HTTP status."""

    def __init__(self, detail: str, *, status: int = 422) -> None:
        """Keep the sentence for the caller and the 4xx status that fits it."""
        super().__init__(detail)
        self.status = status


class UnreadableError(MidstageError):
    """Bytes are not what they say; goes to the dead letters with this reason."""


class UnavailableError(MidstageError):
    """A neighbour does not answer now; back off with jitter and try again, not ready meanwhile."""
