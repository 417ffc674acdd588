"""How far each file is acknowledged, on disk, and who may say so: one file for each epoch.

A shipper takes over by making the next epoch's file, with all that the earlier ones knew. Who was
before notices that a higher epoch is there and ends. Should it write first, it writes its own
file, and only what is true: so nothing of the successor's can be undone.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from midstage.contracts.errors import MidstageError
from midstage.gateway.adapters import files
from midstage.gateway.decide.shipping import furthest
from midstage.gateway.model.shipping import Position

_NAME = re.compile(r"positions-(\d{12})\.json")


class SupersededError(MidstageError):
    """Another shipper has taken over this state directory: this one must end."""


class _Written(msgspec.Struct, kw_only=True):
    offset: int
    number: int
    closed: bool = False


_decoder = msgspec.json.Decoder(dict[str, _Written])


class PositionFiles:
    """The positions of one edge, in its state directory."""

    def __init__(self, state_dir: Path) -> None:
        """Use ``state_dir``; nothing is taken over before ``take``."""
        self._dir = state_dir
        self._epoch = 0

    def take(self) -> Mapping[str, Position]:
        """Take over from whoever was there before; the furthest position of each file."""
        self._dir.mkdir(parents=True, exist_ok=True)
        while True:
            earlier = self._epochs()
            known = furthest([_read(self._file(epoch)) for epoch in earlier])
            epoch = max(earlier, default=0) + 1
            try:
                files.create(self._file(epoch), _encoded(known))
            except FileExistsError:
                continue
            self._epoch = epoch
            for before in earlier:
                self._file(before).unlink(missing_ok=True)
            return known

    def moved(self, positions: Mapping[str, Position]) -> None:
        """Put the positions on disk; SupersededError where another shipper has taken over."""
        self.check()
        files.replace(self._file(self._epoch), _encoded(positions))

    def check(self) -> None:
        """SupersededError where another shipper has taken over."""
        newest = max(self._epochs(), default=0)
        if newest > self._epoch:
            raise SupersededError(
                f"epoch {newest} has taken over {self._dir} from epoch {self._epoch}; this ends"
            )

    def _epochs(self) -> list[int]:
        matches = (_NAME.fullmatch(entry.name) for entry in self._dir.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def _file(self, epoch: int) -> Path:
        return self._dir / f"positions-{epoch:012d}.json"


def _read(file: Path) -> Mapping[str, Position]:
    try:
        written = _decoder.decode(file.read_bytes())
    except FileNotFoundError:
        return {}
    return {
        stem: Position(offset=at.offset, number=at.number, closed=at.closed)
        for stem, at in written.items()
    }


def _encoded(positions: Mapping[str, Position]) -> bytes:
    return msgspec.json.encode(
        {
            stem: _Written(offset=at.offset, number=at.number, closed=at.closed)
            for stem, at in sorted(positions.items())
        }
    )
