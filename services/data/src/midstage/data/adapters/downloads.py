"""Downloads on disk: a file and its manifest each; a file that is ready never changes.

A manifest says ``waiting`` until the file is durable under its name, so after a crash it is made
anew, from a new snapshot: nobody has read a byte of it yet.
"""

import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import msgspec

from midstage.contracts.errors import RefusedError
from midstage.data.adapters import files as disk
from midstage.data.adapters.files import Files
from midstage.data.adapters.queries import Queries, Scope, Snapshot
from midstage.data.adapters.watch import StoppedError, Watch
from midstage.data.decide import welcome
from midstage.data.model import Download, Format, State
from midstage.data.views.downloads import failed, meant
from midstage.data.views.records import Filters
from midstage.eventlog.failpoint import Failpoint, nothing

_AT_ONCE = 1000
_encoder = msgspec.json.Encoder()
# made before threads are: see the traps in docs/architecture.md
_download = msgspec.json.Decoder(Download).decode


class Downloads:
    """The downloads of one directory; asked from any thread, made by one."""

    def __init__(
        self,
        directory: Path,
        *,
        queries: Queries,
        most: int,
        most_bytes: int,
        reached: Failpoint = nothing,
    ) -> None:
        """Take up what the directory holds; what a crash left unfinished is made anew."""
        self._files = Files(directory)
        self._queries = queries
        self._most = most
        self._most_bytes = most_bytes
        self._reached = reached
        self._lock = threading.Lock()
        self._held = {one.id: one for one in map(_read, directory.glob("*.json"))}
        names = {_name(one) for one in self._held.values() if one.state is State.READY}
        for path in directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.suffix != ".json" and path.name not in names:
                path.unlink()

    def ask(self, wanted: Download) -> Download:
        """Have it made, durably asked for; one of that id and content is found, not made again.

        RefusedError: another one has that id (409), or there are too many (429).
        """
        with self._lock:
            before = welcome(list(self._held.values()), wanted, most=self._most)
            if before is not None:
                return before
            self._write(wanted)
            return wanted

    def held(self) -> Sequence[Download]:
        """Every download."""
        with self._lock:
            return list(self._held.values())

    def one(self, download_id: str) -> Download:
        """The download of that id; RefusedError (404) where there is none."""
        with self._lock:
            found = self._held.get(download_id)
        if found is None:
            raise RefusedError(
                f"there is no download {download_id!r}; it may have expired", status=404
            )
        return found

    def path(self, download: Download) -> Path:
        """Where its file stands."""
        return self._files.path(_name(download))

    def remove(self, download_id: str) -> None:
        """Let it go; whoever reads its file reads it to the end. RefusedError (404): none there."""
        found = self.one(download_id)
        with self._lock:
            self._held.pop(found.id, None)
        self._files.remove([_manifest(found), _name(found)])

    def expire(self, now: datetime) -> None:
        """Remove what is past its time."""
        for one in self.held():
            if one.expires <= now:
                self.remove(one.id)

    def make_next(self, stopped: Callable[[], bool]) -> bool:
        """Make the one that waits for the longest; False where none does, or when told to stop."""
        waiting = [one for one in self.held() if one.state is State.WAITING]
        if not waiting or stopped():
            return False
        asked = min(waiting, key=lambda one: one.created)
        try:
            made = self._made(asked, stopped)
        except StoppedError:
            self._progress(asked)
            return False
        except RefusedError as refused:
            made = failed(asked, str(refused))
        except (OSError, duckdb.Error) as error:
            made = failed(asked, f"it could not be written: {error}")
        self._finish(made)
        return True

    def _made(self, asked: Download, stopped: Callable[[], bool]) -> Download:
        """The download with its file durable under its name."""
        path = self.path(asked)
        draft = disk.draft_of(path)
        with ExitStack() as undo:
            undo.callback(draft.unlink, missing_ok=True)
            with self._queries.snapshot() as records:
                written = self._written(asked, records, draft, stopped)
            found = replace(
                written, state=State.READY, bytes=draft.stat().st_size, sha256=disk.digest(draft)
            )
            self._reached("download:written")
            disk.publish(draft, path)
        self._reached("download:renamed")
        return found

    def _written(
        self, asked: Download, records: Snapshot, draft: Path, stopped: Callable[[], bool]
    ) -> Download:
        wanted = meant(asked.filters)
        whole = records.scope(records.hours(wanted), wanted)
        left = self._most_bytes - sum(one.bytes for one in self.held())
        with Watch(draft, most_bytes=left, stopped=stopped, interrupt=records.interrupt) as watch:
            extent = records.extent(whole)
            making = replace(
                asked,
                state=State.MAKING,
                rows_total=extent.rows,
                offsets=extent.offsets,
                read_until=records.positions(),
            )
            scopes = records.slices(wanted)
            write = {Format.JSONL: self._lines, Format.PARQUET: self._parquet}[asked.format]
            for rows in write(records, scopes, draft):
                making = replace(making, rows=making.rows + rows)
                self._progress(making)
                watch.check()
        watch.check()
        return making

    def _lines(self, records: Snapshot, scopes: Iterable[Scope], draft: Path) -> Iterator[int]:
        """Write the records as lines; yields how many, some at a time."""
        with draft.open("wb") as out:
            for scope in scopes:
                for some in records.records(scope, at_once=_AT_ONCE):
                    out.write(_encoder.encode_lines(some))
                    yield len(some)

    def _parquet(self, records: Snapshot, scopes: Iterable[Scope], draft: Path) -> Iterator[int]:
        """Write sorted pieces, then join them: so no more than a piece is sorted in memory."""
        folder = draft.with_suffix(".pieces")
        folder.mkdir()
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, folder)
            pieces = [folder / "0.parquet"]
            records.to_parquet(records.scope([], Filters()), pieces[0])  # its columns, if no others
            for number, scope in enumerate(scopes, start=1):
                pieces.append(folder / f"{number}.parquet")
                yield records.to_parquet(scope, pieces[-1])
            records.join_parquet(pieces, draft)

    def _progress(self, now: Download) -> None:
        """Show how far it is; not durable, because after a crash it is made anew."""
        with self._lock:
            if now.id in self._held:
                self._held[now.id] = now

    def _finish(self, made: Download) -> None:
        with self._lock:
            if made.id in self._held:
                self._write(made)
                return
        self._files.remove([_name(made)])  # it was deleted meanwhile

    def _write(self, download: Download) -> None:
        disk.write(self._files.path(_manifest(download)), msgspec.json.encode(download))
        self._held[download.id] = download


def _read(path: Path) -> Download:
    return _download(path.read_bytes())


def _name(download: Download) -> str:
    return f"{download.id}.{download.format.value}"


def _manifest(download: Download) -> str:
    return f"{download.id}.json"
