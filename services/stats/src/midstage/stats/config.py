"""The settings of stats, read in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from midstage.chassis import settings
from midstage.contracts.requests import BILLED, Outcome

_PREFIX = "MIDSTAGE_STATS_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What stats is told; README.md says what each means."""

    kafka: str
    host: str
    port: int
    token_file: Path
    ledger_file: Path
    edge_keys_file: Path
    commit_interval_s: float = 0.25
    ledger_memory_mb: int = 512
    seen_in_memory: int = 1 << 19
    billed: frozenset[Outcome] = BILLED


def from_env(env: Mapping[str, str]) -> Settings:
    """The settings in ``env``; SettingError names what is missing or wrong."""
    interval_ms = settings.whole(
        env, f"{_PREFIX}COMMIT_INTERVAL_MS", default=250, least=0, most=10_000
    )
    return Settings(
        kafka=settings.text(env, f"{_PREFIX}KAFKA"),
        host=settings.text(env, f"{_PREFIX}HOST", default="127.0.0.1"),
        port=settings.whole(env, f"{_PREFIX}PORT", least=0, most=65_535),
        token_file=settings.path(env, f"{_PREFIX}TOKEN_FILE"),
        ledger_file=settings.path(env, f"{_PREFIX}LEDGER_FILE"),
        edge_keys_file=settings.path(env, f"{_PREFIX}EDGE_KEYS_FILE"),
        commit_interval_s=interval_ms / 1000,
        ledger_memory_mb=settings.whole(
            env, f"{_PREFIX}LEDGER_MEMORY_MB", default=512, least=64, most=1_000_000
        ),
        seen_in_memory=settings.whole(
            env, f"{_PREFIX}SEEN_IN_MEMORY", default=1 << 19, least=1, most=1 << 24
        ),
        billed=_billed(settings.text(env, f"{_PREFIX}BILLED", default=",".join(sorted(BILLED)))),
    )


def _billed(text: str) -> frozenset[Outcome]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(Outcome)]
    if unknown:
        raise settings.SettingError(
            f"{_PREFIX}BILLED names {unknown[0]!r}, which is none of {', '.join(Outcome)}"
        )
    return frozenset(Outcome(name) for name in names)
