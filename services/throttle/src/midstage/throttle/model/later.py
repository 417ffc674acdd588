"""An answer that is not known yet: told once, on the thread that asked."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Later(Generic[T]):
    """Who asks says with ``then`` where the answer is to go; whoever knows it tells it."""

    __slots__ = ("_tell",)

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._tell: Callable[[T], None] | None = None

    def then(self, tell: Callable[[T], None]) -> None:
        """Have the answer handed to ``tell``; to be said in the step that got the ``Later``."""
        self._tell = tell

    def told(self, answer: T) -> None:
        """This is the answer."""
        if self._tell is not None:
            self._tell(answer)

    def mapped(self, shape: Callable[[T], R]) -> "Later[R]":
        """The same answer in another shape."""
        shaped: Later[R] = Later()
        self.then(lambda answer: shaped.told(shape(answer)))
        return shaped
