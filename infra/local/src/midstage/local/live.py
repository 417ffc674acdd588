"""The live table: what is offered, admitted and refused each second, and how far the ledger is.

What the callers see comes from the callers, lag and freshness from stats, replicas and the last
decision from the log. What can't be known now is shown as ``–``, never as zero.
"""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, Literal

import httpx
import msgspec
from rich.box import SQUARE
from rich.table import Table
from rich.text import Text

from midstage.eventlog.log import Log
from midstage.local import loopback
from midstage.local.replay.following import Fleet, Following
from midstage.local.replay.progress import Line

_WITHIN_S = 1.0
UNKNOWN = "–"
_COLUMNS: Final[tuple[Literal["left", "right"], ...]] = ("left", "right", "left", "right")


class Counting(msgspec.Struct, frozen=True, kw_only=True):
    """What stats says of itself: records not yet counted, rows, and their age in the last minute.

    Freshness is milliseconds from a request's end to its row.
    """

    lag_records: int | None = None
    rows: int | None = None
    freshness_ms_p50: float | None = None
    freshness_ms_p99: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One second of a replay; rates are per second."""

    line: Line
    offered: float
    admitted: float
    refused: float
    fleet: Fleet | None
    counting: Counting | None


class Watcher:
    """Turns the callers' running counts into rates, and asks stats and the log."""

    def __init__(self, stats: str, *, token: str, log: Log | None = None, app: str = "") -> None:
        """Ask the stats service at that base URL, and ``log`` for the replicas of ``app``."""
        self._client = loopback.client(
            base_url=stats, headers=loopback.known(token), timeout=_WITHIN_S
        )
        self._following = None if log is None else Following(log, app=app)
        self._before: Line | None = None

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
        if self._following is not None:
            self._following.close()

    def moment(self, line: Line) -> Moment:
        """The second that ends with ``line``."""
        before, self._before = self._before, line
        return Moment(
            line=line,
            offered=_rate(line, before, line.offered, before.offered if before else 0),
            admitted=_rate(line, before, _admitted(line), _admitted(before) if before else 0),
            refused=_rate(line, before, line.refused, before.refused if before else 0),
            fleet=None if self._following is None else self._following.fleet(),
            counting=self._counting(),
        )

    def _counting(self) -> Counting | None:
        try:
            answer = self._client.get("/v1/status").raise_for_status()
            return msgspec.json.decode(answer.content, type=Counting)
        except (httpx.HTTPError, msgspec.DecodeError):
            return None  # stats is away: unknown


def table(moment: Moment) -> Table:
    """The table for a terminal: two figures a row, so that it fits a narrow one uncut."""
    shown = Table(title="midstage: replay", title_justify="left", show_header=False, box=SQUARE)
    figures = _figures(moment)
    half = (len(figures) + 1) // 2
    for justify in _COLUMNS:
        shown.add_column(justify=justify, no_wrap=True)
    if moment.fleet is not None and moment.fleet.decision is not None:
        shown.caption = Text(moment.fleet.decision.reason)
        shown.caption_justify = "left"
    for left, right in zip_longest(figures[:half], figures[half:], fillvalue=("", "")):
        shown.add_row(*left, *right)
    return shown


def plain(moment: Moment) -> str:
    """The same as one line."""
    return "  ".join(f"{name} {value}" for name, value in _figures(moment))


def _figures(moment: Moment) -> list[tuple[str, str]]:
    line, counting = moment.line, moment.counting or Counting()
    fresh = f"{_whole(counting.freshness_ms_p50)}/{_whole(counting.freshness_ms_p99)}"
    return [
        ("sent", str(line.offered)),
        ("offered/s", f"{moment.offered:.0f}"),
        ("admitted/s", f"{moment.admitted:.0f}"),
        ("refused/s", f"{moment.refused:.0f}"),
        ("in flight", str(line.in_flight)),
        ("ready/wanted", _replicas(moment.fleet)),
        ("p50/p99 ms", f"{_whole(line.p50_ms)}/{_whole(line.p99_ms)}"),
        ("lag", _whole(counting.lag_records)),
        ("fresh p50/p99 ms", fresh),
        ("counted", _whole(counting.rows)),
        ("decision", _decision(moment.fleet)),
    ]


def _replicas(fleet: Fleet | None) -> str:
    return f"{UNKNOWN}/{UNKNOWN}" if fleet is None else f"{fleet.serving}/{_whole(fleet.wanted)}"


def _decision(fleet: Fleet | None) -> str:
    last = None if fleet is None else fleet.decision
    return UNKNOWN if last is None else f"{last.previous}→{last.replicas} {last.at:%H:%M:%S}"


def _whole(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f}"


def _admitted(line: Line) -> int:
    """What throttle let through: all that was offered and not refused."""
    return line.offered - line.refused


def _rate(line: Line, before: Line | None, now: int, then: int) -> float:
    seconds = line.elapsed_s - (before.elapsed_s if before else 0.0)
    return max(0.0, (now - then) / seconds) if seconds > 0 else 0.0
