"""Settings are read by name, and what is wrong is named."""

from datetime import timedelta
from pathlib import Path

import pytest

from midstage.chassis.settings import SettingError
from midstage.data.config import from_env

NEEDED = {
    "MIDSTAGE_DATA_KAFKA": "127.0.0.1:9092",
    "MIDSTAGE_DATA_PORT": "0",
    "MIDSTAGE_DATA_TOKEN_FILE": "token",
    "MIDSTAGE_DATA_DIRECTORY": "/somewhere",
    "MIDSTAGE_DATA_EDGE_KEYS_FILE": "keys.json",
}


def test_what_is_not_set_has_the_default_of_the_readme() -> None:
    settings = from_env(NEEDED)
    assert settings.directory == Path("/somewhere")
    assert (settings.commit_interval_s, settings.hour_grace) == (1.0, timedelta(minutes=5))
    assert (settings.retention, settings.parts_bytes) == (timedelta(days=30), 10 * 1024**3)


@pytest.mark.parametrize("name", [*NEEDED])
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(SettingError, match=name):
        from_env({**NEEDED, name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [("RETENTION_DAYS", "0"), ("HOUR_GRACE_S", "-1"), ("PARTS_MB", "many"), ("PART_ROWS", "1")],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"MIDSTAGE_DATA_{name}"):
        from_env({**NEEDED, f"MIDSTAGE_DATA_{name}": value})
