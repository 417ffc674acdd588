"""Settings fail by name."""

from fractions import Fraction
from pathlib import Path

import pytest

from midstage.chassis.settings import SettingError
from midstage.throttle.config import RuleSettings, from_env

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
        ("MIDSTAGE_THROTTLE_RULES_MERGE", "perhaps"),
        ("MIDSTAGE_THROTTLE_RULES_NEAR_LIMIT_RATIO", "1.5"),
        ("MIDSTAGE_THROTTLE_RULES_HEADERS", "x: y"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        from_env({**WHOLE, name: value})


def test_rules_are_off_and_each_of_their_settings_has_its_name() -> None:
    assert from_env(WHOLE).rules == RuleSettings()
    said = {"DIR": "rules", "MERGE": "true", "SHADOW": "true", "QUOTA": "true",
            "STOP_WHEN_OVER": "true", "NEAR_LIMIT_RATIO": "0.9", "HEADERS": "X-RateLimit",
            "METADATA": "true"}  # fmt: skip
    named = {f"MIDSTAGE_THROTTLE_RULES_{name}": value for name, value in said.items()}
    assert from_env({**WHOLE, **named}).rules == RuleSettings(
        folder=Path("rules"),
        merge=True,
        shadow=True,
        quota=True,
        stop_when_over=True,
        near_limit=Fraction(9, 10),
        headers="X-RateLimit",
        metadata=True,
    )
