"""When an application's turn comes, and what the process is told."""

from pathlib import Path

import pytest

from midstage.chassis.settings import SettingError
from midstage.hpa.config import Settings, from_env
from midstage.hpa.main import main
from midstage.hpa.model import Asked
from midstage.hpa.stream.due import Due

CHAT, OCR = Asked(initial=1), Asked(initial=2)


def test_load_has_its_turn_at_most_twice_a_second() -> None:
    due = Due()
    due.heard("chat")
    assert due.of_heard(10.0) == ["chat"]
    due.done("chat", 10.0)
    assert due.of_heard(10.1) == []
    due.heard("chat")
    assert due.of_heard(10.4) == []
    assert due.soon()
    assert due.of_heard(10.5) == ["chat"]


def test_without_load_each_has_its_turn_every_five_seconds() -> None:
    due = Due()
    assert due.of_all({"chat": CHAT, "ocr": OCR}, 0.0) == ["chat", "ocr"]
    due.done("chat", 0.0)
    due.done("ocr", 2.0)
    assert due.of_all({"chat": CHAT, "ocr": OCR}, 4.9) == []
    assert due.of_all({"chat": CHAT, "ocr": OCR}, 5.0) == ["chat"]


def test_a_changed_spec_has_its_turn_at_once() -> None:
    due = Due()
    due.of_all({"chat": CHAT, "ocr": OCR}, 0.0)
    due.done("chat", 0.0)
    due.done("ocr", 0.0)
    changed = Asked(initial=3)
    assert due.of_all({"chat": changed, "ocr": OCR}, 0.3) == ["chat"]
    due.done("chat", 0.3)
    assert due.of_all({"chat": changed, "ocr": OCR}, 0.6) == []


def test_who_is_gone_is_forgotten() -> None:
    due = Due()
    due.heard("chat")
    due.done("ocr", 0.0)
    assert due.of_all({"ocr": OCR}, 0.1) == ["ocr"]
    assert not due.soon()


def test_all_are_looked_at_some_times_a_second() -> None:
    due = Due()
    assert [due.asks_all(now) for now in (0.0, 0.1, 0.25, 0.3)] == [True, False, True, False]


def test_settings_are_read_in_one_place() -> None:
    env = {
        "MIDSTAGE_HPA_KAFKA": "127.0.0.1:9092",
        "MIDSTAGE_HPA_PORT": "8085",
        "MIDSTAGE_HPA_TOKEN_FILE": "/run/token",
    }
    assert from_env(env) == Settings(
        kafka="127.0.0.1:9092", host="127.0.0.1", port=8085, token_file=Path("/run/token")
    )
    for name in env:
        with pytest.raises(SettingError, match=name):
            from_env({other: value for other, value in env.items() if other != name})


def test_a_missing_setting_ends_the_process_with_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main({}) == 1
    assert "MIDSTAGE_HPA_KAFKA" in capsys.readouterr().err
