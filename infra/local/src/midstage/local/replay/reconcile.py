"""Reads the ledger over stats' own API until it is complete, and makes the report.

Rows are read once, in the order in which the ledger got them. Complete: every live source has
reported up to the end of the last request and lacks no number, and every request has its row. How
long is waited for a ledger that is not, is ``Patience``.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec

from midstage.eventlog.log import Log
from midstage.local import loopback
from midstage.local.replay import closing
from midstage.local.replay.compare import LedgerRow
from midstage.local.replay.findings import Found, Hole, PlatformFacts, Report
from midstage.local.replay.listing import CallerRow, read_list
from midstage.local.replay.plot import plot
from midstage.local.replay.report import made, write
from midstage.local.replay.series import started

LEAVING_S = 0.5
"""An edge may notice that a caller left this long after it did."""
PAGE = 1000
_ANSWER_WITHIN_S = 10.0
_LEAVING = timedelta(seconds=LEAVING_S)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long nothing may move: ``settle_s`` when all is there (a row sent again comes later).

    ``grace_s`` when the sources are complete and rows are lacking, ``quiet_s`` when the sources are
    not complete; ``deadline_s`` is the most in any case.
    """

    settle_s: float = 1.0
    grace_s: float = 3.0
    quiet_s: float = 30.0
    deadline_s: float = 180.0
    look_every_s: float = 0.25


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One source as stats' ``/v1/sources`` shows it; ``holes`` are [first, last]."""

    source: str
    highest: int
    rows: int
    holes: tuple[tuple[int, int], ...]
    closed: bool
    complete_until: datetime | None


class _Sources(msgspec.Struct):
    sources: tuple[Source, ...]


class _Page(msgspec.Struct):
    requests: tuple[LedgerRow, ...]


def reconcile(
    *,
    list_file: Path,
    run: str,
    stats_url: str,
    token: str,
    platform: PlatformFacts,
    app: str = "",
    log: Log | None = None,
    report_file: Path | None = None,
    plot_file: Path | None = None,
    patience: Patience = Patience(),
) -> Report:
    """Wait for the ledger, compare, and write what is to be written.

    ``token`` is that of the operators. Of ``app`` the report says how its replicas followed the
    load, where there is a ``log`` to ask.
    ``report_file`` is written as JSON with a plot beside it, ``plot_file`` is that plot (SVG).
    """
    mine = read_list(list_file)
    known = loopback.known(token)
    with loopback.client(base_url=stats_url, headers=known, timeout=_ANSWER_WITHIN_S) as client:
        found = _Ledger(client=client, run=run).awaited(mine, patience)
        closed = closing.circle(mine, app=app, log=log, stats=client)
    report = made(run=run, mine=mine, found=found, platform=platform, circle=closed)
    if report_file is not None:
        write(report, report_file)
    if plot_file is not None:
        plot_file.write_bytes(plot(report))
    return report


def complete(sources: Sequence[Source], *, begun: datetime, until: datetime) -> bool:
    """Whether the ledger has everything that ended before ``until``; ``begun``: the first start.

    A source that was silent before ``begun`` has nothing of this run: an edge that died earlier.
    """
    live = [s for s in sources if s.complete_until is None or s.complete_until >= begun]
    reached = [s for s in live if s.complete_until is not None and s.complete_until >= until]
    waited = [s for s in live if not s.closed and s not in reached]
    return bool(reached) and not waited and all(_whole(source) for source in live)


@dataclass(slots=True, kw_only=True)
class _Ledger:
    """What has been read of one run's rows, and of all sources; any shard answers for all."""

    client: httpx.Client
    run: str
    after: dict[int, int] = field(default_factory=dict)
    rows: list[LedgerRow] = field(default_factory=list)
    sources: tuple[Source, ...] = ()
    trouble: str = ""

    def awaited(self, mine: Sequence[CallerRow], patience: Patience) -> Found:
        """Look until the ledger is complete or stands still."""
        refs = {row.ref for row in mine}
        begun = min((started(row) for row in mine), default=_LONG_AGO)
        until = max((row.ended_at for row in mine), default=_LONG_AGO) + _LEAVING
        began = moved = time.monotonic()
        whole = False
        while True:
            before = (len(self.rows), whole)
            self._look()
            whole = complete(self.sources, begun=begun, until=until)
            now = time.monotonic()
            if before != (len(self.rows), whole):
                moved = now
            lacks = not refs.issubset({row.ref for row in self.rows})
            still_s = patience.grace_s if whole else patience.quiet_s
            if whole and not lacks:
                still_s = patience.settle_s
            if now - moved >= still_s or now - began >= patience.deadline_s:
                return self._found(whole=whole, until=until, waited_s=now - began)
            time.sleep(patience.look_every_s)

    def _look(self) -> None:
        try:
            self.sources = _got(self.client, "/v1/sources", _Sources).sources
            while self._page() == PAGE:
                pass
        except httpx.HTTPError as e:
            self.trouble = f"stats was asked in vain at least once: {type(e).__name__} {e}"

    def _page(self) -> int:
        """Read a page behind what each shard has given so far; how many rows there were."""
        after = ",".join(str(self.after.get(n, 0)) for n in range(max(self.after, default=0) + 1))
        query = f"ref_prefix={self.run}-&after={after}&limit={PAGE}"
        page = _got(self.client, f"/v1/requests?{query}", _Page).requests
        self.rows.extend(page)
        self.after.update((row.shard, row.row) for row in page)
        return len(page)

    def _found(self, *, whole: bool, until: datetime, waited_s: float) -> Found:
        notes = [self.trouble] if self.trouble else []
        if not whole:
            notes.append(
                f"the ledger was not known to be complete up to {until:%H:%M:%S.%f} UTC, and "
                f"stood still; it was waited for {waited_s:.0f} s"
            )
        return Found(
            rows=tuple(self.rows),
            holes=tuple(
                Hole(source=source.source, first=first, last=last)
                for source in self.sources
                for first, last in source.holes
            ),
            complete=whole,
            notes=tuple(notes),
        )


def _got(client: httpx.Client, path: str, kind: type[T]) -> T:
    answer = client.get(path).raise_for_status()
    return msgspec.json.decode(answer.content, type=kind)


def _whole(source: Source) -> bool:
    return not source.holes and source.rows >= source.highest
