"""The settings of stats, read in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from midstage.chassis import settings
from midstage.contracts.requests import BILLED, Outcome
from midstage.stats.views.shards import ALONE, Shard

_PREFIX = "MIDSTAGE_STATS_"
MOST_SHARDS = 12
"""A shard without any partition would count nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What stats is told; README.md says what each means."""

    kafka: str
    host: str
    port: int
    token_file: Path
    ledger_file: Path
    edge_keys_file: Path
    api_keys_file: Path | None = None
    commit_interval_s: float = 0.25
    ingest_within_s: float = 10.0
    ledger_memory_mb: int = 80
    questions_at_once: int = 2
    seen_in_memory: int = 1 << 19
    segment_rows: int = 8_000
    billed: frozenset[Outcome] = BILLED
    gap_grace: timedelta = timedelta(minutes=10)
    rows_kept: timedelta = timedelta(days=7)
    shard: Shard = ALONE
    peers: tuple[str, ...] = ()
    take_over: bool = False


def from_env(env: Mapping[str, str]) -> Settings:
    """The settings in ``env``; SettingError names what is missing or wrong."""
    interval_ms = settings.whole(
        env, f"{_PREFIX}COMMIT_INTERVAL_MS", default=250, least=0, most=10_000
    )
    shard = _shard(env)
    ingest_ms = settings.whole(
        env, f"{_PREFIX}INGEST_TIMEOUT_MS", default=10_000, least=100, most=60_000
    )
    callers = settings.text(env, f"{_PREFIX}API_KEYS_FILE", default="")
    return Settings(
        kafka=settings.text(env, f"{_PREFIX}KAFKA"),
        host=settings.text(env, f"{_PREFIX}HOST", default="127.0.0.1"),
        port=settings.whole(env, f"{_PREFIX}PORT", least=0, most=65_535),
        token_file=settings.path(env, f"{_PREFIX}TOKEN_FILE"),
        ledger_file=settings.path(env, f"{_PREFIX}LEDGER_FILE"),
        edge_keys_file=settings.path(env, f"{_PREFIX}EDGE_KEYS_FILE"),
        api_keys_file=Path(callers) if callers else None,
        commit_interval_s=interval_ms / 1000,
        ingest_within_s=ingest_ms / 1000,
        ledger_memory_mb=settings.whole(
            env, f"{_PREFIX}LEDGER_MEMORY_MB", default=80, least=64, most=1_000_000
        ),
        questions_at_once=settings.whole(
            env, f"{_PREFIX}QUESTIONS_AT_ONCE", default=2, least=1, most=16
        ),
        seen_in_memory=settings.whole(
            env, f"{_PREFIX}SEEN_IN_MEMORY", default=1 << 19, least=1, most=1 << 24
        ),
        segment_rows=settings.whole(
            env, f"{_PREFIX}SEGMENT_ROWS", default=8_000, least=1, most=1_000_000
        ),
        gap_grace=timedelta(
            seconds=settings.whole(env, f"{_PREFIX}GAP_GRACE_S", default=600, least=10, most=86_400)
        ),
        rows_kept=timedelta(
            hours=settings.whole(env, f"{_PREFIX}ROWS_KEPT_H", default=168, least=1, most=87_600)
        ),
        shard=shard,
        peers=_peers(env, shard),
        take_over=settings.flag(env, f"{_PREFIX}TAKE_OVER", default=False),
        billed=_billed(settings.text(env, f"{_PREFIX}BILLED", default=",".join(sorted(BILLED)))),
    )


def _shard(env: Mapping[str, str]) -> Shard:
    shards = settings.whole(env, f"{_PREFIX}SHARDS", default=1, least=1, most=MOST_SHARDS)
    number = settings.whole(env, f"{_PREFIX}SHARD", default=0, least=0, most=shards - 1)
    return Shard(number=number, of=shards)


def _peers(env: Mapping[str, str], shard: Shard) -> tuple[str, ...]:
    """The urls of all shards in their order; none where this is the only one."""
    text = settings.text(env, f"{_PREFIX}PEERS", default="")
    urls = tuple(url.strip().rstrip("/") for url in text.split(",") if url.strip())
    if len(urls) != (shard.of if urls or shard.of > 1 else 0):
        raise settings.SettingError(
            f"{_PREFIX}PEERS names {len(urls)} urls, but there are {shard.of} shards; "
            "name all of them, this one too, in their order"
        )
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise settings.SettingError(f"{_PREFIX}PEERS names {url!r}, which is no http url")
    return urls


def _billed(text: str) -> frozenset[Outcome]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(Outcome)]
    if unknown:
        raise settings.SettingError(
            f"{_PREFIX}BILLED names {unknown[0]!r}, which is none of {', '.join(Outcome)}"
        )
    return frozenset(Outcome(name) for name in names)
