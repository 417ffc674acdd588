"""The settings of hpa, read in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from midstage.chassis.settings import path, text, whole

_PREFIX = "MIDSTAGE_HPA_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What hpa is told; README.md says what each means.

    ``replay_processes`` None: as many as there are processors for it.
    """

    kafka: str
    host: str
    port: int
    token_file: Path
    replay_processes: int | None = None


def from_env(env: Mapping[str, str]) -> Settings:
    """The settings in ``env``; SettingError names what is missing or wrong."""
    return Settings(
        kafka=text(env, f"{_PREFIX}KAFKA"),
        host=text(env, f"{_PREFIX}HOST", default="127.0.0.1"),
        port=whole(env, f"{_PREFIX}PORT", least=0, most=65_535),
        token_file=path(env, f"{_PREFIX}TOKEN_FILE"),
        replay_processes=_processes(env, f"{_PREFIX}REPLAY_PROCESSES"),
    )


def _processes(env: Mapping[str, str], name: str) -> int | None:
    return whole(env, name, least=0, most=64) if env.get(name, "").strip() else None
