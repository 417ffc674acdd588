"""Keeps the rules in force those of the folder: a thread that looks, and says what it found.

The first look counts at once; later ones when two in a row are alike, so a file that is half
written is never taken. What can't be taken leaves the rules in force, until it changes again.
"""

import threading
from typing import Final

from midstage.chassis.logs import logger
from midstage.throttle.adapters.imported.folder import Files, Folder, digest
from midstage.throttle.decide.imported.book import Book
from midstage.throttle.decide.imported.reading import RuleError
from midstage.throttle.metrics import RuleMetrics

LOOKED_EACH_S: Final = 0.4

_log = logger(__name__)


class Watching:
    """Takes the files of ``folder`` into ``book``."""

    name = "rules"

    def __init__(self, *, folder: Folder, book: Book, metrics: RuleMetrics) -> None:
        """Nothing is looked at yet."""
        self._folder = folder
        self._book = book
        self._metrics = metrics
        self._tried = b""
        self._seen = b""
        self._has_looked = False

    def closed(self) -> str | None:
        """Why no question can be answered yet; None once the folder was looked at, good or bad."""
        return None if self._has_looked else "the folder of rules has not been read yet"

    def run(self, stop: threading.Event) -> None:
        """Look until ``stop``."""
        while True:
            self.look()
            if stop.wait(LOOKED_EACH_S):
                return

    def look(self) -> None:
        """Take the files if they are new and stand still."""
        try:
            files = self._folder.files()
        except RuleError as e:
            self._found(str(e).encode(), e)
        else:
            self._found(digest(files), files)
        self._has_looked = True

    def _found(self, seen: bytes, what: Files | RuleError) -> None:
        stands = seen == self._seen or not self._has_looked
        self._seen = seen
        if seen == self._tried or not stands:
            return
        self._tried = seen
        refused = self._book.fail(what) if isinstance(what, RuleError) else self._taken(what)
        self._metrics.loaded(refused is None)
        if refused is None:
            _log.info("rules_loaded", domains=sorted(self._book.domains))
        else:
            _log.error(
                "rules_refused",
                reason=str(refused),
                file=refused.file,
                path=refused.path,
                line=self._folder.line(refused),
                in_force="those before" if self._book.loaded else "none",
            )

    def _taken(self, files: Files) -> RuleError | None:
        try:
            documents = self._folder.documents(files)
        except RuleError as e:
            return self._book.fail(e)
        return self._book.load(documents)
