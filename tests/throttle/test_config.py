"""Settings fail by name."""

from pathlib import Path

import pytest

from midstage.chassis.settings import SettingError
from midstage.throttle.config import from_env

WHOLE = {
    "MIDSTAGE_THROTTLE_KAFKA": "127.0.0.1:9092",
    "MIDSTAGE_THROTTLE_PORT": "8082",
    "MIDSTAGE_THROTTLE_GRPC_PORT": "8083",
    "MIDSTAGE_THROTTLE_TOKEN_FILE": "token",
}


def test_defaults_are_those_of_the_design() -> None:
    settings = from_env(WHOLE)
    assert settings.host == "127.0.0.1"
    assert settings.token_file == Path("token")
    assert (settings.answer_within_ms, settings.caller_timeout_ms) == (30, 50)
    assert settings.late_below_s == pytest.approx(0.02)


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(SettingError, match=name):
        from_env({**WHOLE, name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MIDSTAGE_THROTTLE_PORT", "70000"),
        ("MIDSTAGE_THROTTLE_GRPC_PORT", "a"),
        ("MIDSTAGE_THROTTLE_ANSWER_WITHIN_MS", "0"),
        ("MIDSTAGE_THROTTLE_ANSWER_WITHIN_MS", "50"),
        ("MIDSTAGE_THROTTLE_CALLER_TIMEOUT_MS", "30"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        from_env({**WHOLE, name: value})
