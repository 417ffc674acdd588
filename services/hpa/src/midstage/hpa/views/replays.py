"""What became of evaluations that were made again: sums, and the first that differs, in full."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from midstage.contracts.errors import MidstageError
from midstage.contracts.scaling import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Of which application (None: all), made from when, before when; ``deep``: from topics too."""

    app: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    deep: bool = False

    def takes(self, app: str, at: datetime) -> bool:
        """Whether an evaluation of ``app`` made ``at`` is one of them."""
        return (
            self.app in (None, app)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One that came out otherwise: the way it was made again, ``where`` it differs, and both.

    ``made`` None: it could not be made again, ``where`` says why.
    """

    app: str
    at: datetime
    way: str
    where: str
    stored: Evaluation
    made: Evaluation | None

    def __str__(self) -> str:
        """One line."""
        return f"{self.app} at {self.at.isoformat()}, {self.way}: {self.where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of ``total`` evaluations and ``changes`` of counts that this engine made.

    ``from_stored_equal`` counts both kinds. ``from_topics_equal``: evaluations alone, and only
    where it was asked for (``deep``); ``unheld``: the topics hold their facts no more.
    ``others``: how many there are of other engines, which are not made again.
    """

    total: int = 0
    changes: int = 0
    from_stored_equal: int = 0
    deep: bool = False
    from_topics_equal: int = 0
    unheld: int = 0
    others: Mapping[str, int] = field(default_factory=dict)
    first: Difference | None = None

    @property
    def first_difference(self) -> str | None:
        """Names the evaluation, the way, and the first field that differs."""
        return None if self.first is None else str(self.first)

    @property
    def equal(self) -> bool:
        """Whether each was made again, in the ways asked for, as far as the topics hold it."""
        topics = self.from_topics_equal + self.unheld
        stored = self.from_stored_equal == self.total + self.changes
        return stored and (not self.deep or topics == self.total)

    def plus(self, other: "Replayed") -> "Replayed":
        """Both together; of two differences the earlier evaluation's."""
        names = {**self.others, **other.others}
        return Replayed(
            total=self.total + other.total,
            changes=self.changes + other.changes,
            from_stored_equal=self.from_stored_equal + other.from_stored_equal,
            deep=self.deep or other.deep,
            from_topics_equal=self.from_topics_equal + other.from_topics_equal,
            unheld=self.unheld + other.unheld,
            others={n: self.others.get(n, 0) + other.others.get(n, 0) for n in sorted(names)},
            first=earlier(self.first, other.first),
        )


def earlier(one: Difference | None, other: Difference | None) -> Difference | None:
    """That of the earlier evaluation, of two at once by name."""
    known = [each for each in (one, other) if each is not None]
    return min(known, key=lambda each: (each.at, each.app), default=None)


def told(found: Replayed) -> str:
    """One line of sums."""
    words = [f"{found.total} evaluations and {found.changes} changes made again"]
    words.append(f"{found.from_stored_equal} equal from what they stored")
    if found.deep:
        words.append(
            f"{found.from_topics_equal} equal from the topics, {found.unheld} no longer held"
        )
    words += [
        f"{count} of {engine or 'an unnamed engine'}" for engine, count in found.others.items()
    ]
    return "; ".join(words)


def lines(replaying: Iterator[Replayed]) -> Iterator[bytes]:
    """JSON documents, one a line: the sums so far, and with ``"done": true`` those of all.

    What ends it early is the last line's ``error``.
    """
    found = Replayed()
    try:
        for found in replaying:
            yield _line(found, {"done": False})
    except MidstageError as e:
        yield _line(found, {"done": False, "error": str(e)})
        return
    yield _line(found, {"done": True, "equal": found.equal, "first": _first(found.first)})


def _line(found: Replayed, more: Mapping[str, object]) -> bytes:
    sums = {
        "total": found.total,
        "changes": found.changes,
        "from_stored_equal": found.from_stored_equal,
        "deep": found.deep,
        "from_topics_equal": found.from_topics_equal,
        "unheld": found.unheld,
        "others": found.others,
    }
    return msgspec.json.encode({**sums, **more}) + b"\n"


def _first(found: Difference | None) -> Mapping[str, object] | None:
    if found is None:
        return None
    return {
        "app": found.app,
        "at": found.at,
        "way": found.way,
        "where": found.where,
        "stored": found.stored,
        "made": found.made,
    }
