"""The settings of data, read in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from midstage.chassis import settings

_PREFIX = "MIDSTAGE_DATA_"
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What data is told; README.md says what each means."""

    kafka: str
    host: str
    port: int
    token_file: Path
    directory: Path
    edge_keys_file: Path
    commit_interval_s: float = 1.0
    store_memory_mb: int = 48
    part_rows: int = 25_000
    hour_grace: timedelta = timedelta(minutes=5)
    retention: timedelta = timedelta(days=30)
    parts_bytes: int = 10_240 * _MB
    downloads_most: int = 100
    downloads_bytes: int = 2048 * _MB
    download_expiry: timedelta = timedelta(hours=24)


def from_env(env: Mapping[str, str]) -> Settings:
    """The settings in ``env``; SettingError names what is missing or wrong."""
    return Settings(
        kafka=settings.text(env, f"{_PREFIX}KAFKA"),
        host=settings.text(env, f"{_PREFIX}HOST", default="127.0.0.1"),
        port=settings.whole(env, f"{_PREFIX}PORT", least=0, most=65_535),
        token_file=settings.path(env, f"{_PREFIX}TOKEN_FILE"),
        directory=settings.path(env, f"{_PREFIX}DIRECTORY").absolute(),
        edge_keys_file=settings.path(env, f"{_PREFIX}EDGE_KEYS_FILE"),
        commit_interval_s=_whole(env, "COMMIT_INTERVAL_MS", 1000, least=0, most=10_000) / 1000,
        store_memory_mb=_whole(env, "STORE_MEMORY_MB", 48, least=32),
        part_rows=_whole(env, "PART_ROWS", 25_000, least=1000),
        hour_grace=timedelta(seconds=_whole(env, "HOUR_GRACE_S", 300, least=0, most=86_400)),
        retention=timedelta(days=_whole(env, "RETENTION_DAYS", 30, most=36_500)),
        parts_bytes=_whole(env, "PARTS_MB", 10_240) * _MB,
        downloads_most=_whole(env, "DOWNLOADS_MOST", 100, most=10_000),
        downloads_bytes=_whole(env, "DOWNLOADS_MB", 2048) * _MB,
        download_expiry=timedelta(hours=_whole(env, "DOWNLOAD_EXPIRY_HOURS", 24, most=8760)),
    )


def _whole(
    env: Mapping[str, str], name: str, default: int, *, least: int = 1, most: int = 1_000_000
) -> int:
    return settings.whole(env, f"{_PREFIX}{name}", default=default, least=least, most=most)
