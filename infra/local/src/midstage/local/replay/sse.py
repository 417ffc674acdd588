"""What an OpenAI-compatible answer used, read from its bytes as they pass, at little cost.

Of a stream only the ``data:`` lines are counted and the last bytes kept: one event carries one
token, the last two are the usage and ``[DONE]``. How the bytes are split into chunks changes
nothing.
"""

from typing import Final

import msgspec

TAIL_BYTES: Final = 4096
_LINE = b"\ndata:"
_DONE = b"data: [DONE]"


class Usage(msgspec.Struct, frozen=True):
    """OpenAI's ``usage`` object; what else is in it does not matter here."""

    prompt_tokens: int
    completion_tokens: int


class _Answer(msgspec.Struct):
    usage: Usage | None = None


class Events:
    """Counts one stream's events; feed it every chunk in order."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.events = 0
        self._tail = b"\n"  # so that the first line is like every other

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream, split anywhere."""
        # the seam finds lines whose beginning is cut in two: neither of its sides holds a whole one
        seam = self._tail[1 - len(_LINE) :] + chunk[: len(_LINE) - 1]
        self.events += seam.count(_LINE) + chunk.count(_LINE)
        self._tail = (self._tail + chunk)[-TAIL_BYTES:]

    def ended(self) -> bool:
        """Whether ``[DONE]`` has come."""
        return self._tail.rstrip().endswith(_DONE)

    def usage(self) -> Usage | None:
        """The usage object, once the event that carries it has come whole."""
        for line in reversed(self._tail.split(b"\n")):
            if line.startswith(b"data: {") and b'"usage"' in line:
                return usage_in(line[len(b"data: ") :])
        return None

    def tokens(self) -> int:
        """How many tokens have come: events but those of the usage and of the end."""
        beside = int(self.ended()) + int(self.usage() is not None)
        return max(0, self.events - beside)


def usage_in(answer: bytes) -> Usage | None:
    """The usage in a whole JSON answer; None where there is none that can be read."""
    try:
        return msgspec.json.decode(answer, type=_Answer).usage
    except msgspec.DecodeError:
        return None
