import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.chassis import settings
from midstage.chassis.settings import SettingError

PORT = "MIDSTAGE_STATS_PORT"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SettingError, match=r"^MIDSTAGE_STATS_PORT is not set$"):
        settings.whole({}, PORT)
    with pytest.raises(SettingError, match=r"^MIDSTAGE_STATS_PORT is not set$"):
        settings.text({PORT: "  "}, PORT)


def test_defaults_hold_for_what_is_blank() -> None:
    env = {PORT: " "}
    assert settings.text(env, PORT, default="x") == "x"
    assert settings.whole(env, PORT, default=0, least=1) == 0
    assert settings.number(env, PORT, default=0.5) == 0.5
    assert settings.flag(env, PORT, default=True) is True
    assert settings.path(env, PORT, default=Path("a")) == Path("a")


@pytest.mark.parametrize("wrong", ["x", "1.5", "0x10", "1_000", "١", "1e3", "--1"])
def test_a_whole_number_is_digits(wrong: str) -> None:
    with pytest.raises(SettingError) as error:
        settings.whole({PORT: wrong}, PORT)
    assert str(error.value) == f"MIDSTAGE_STATS_PORT={wrong!r} is not a whole number"


@pytest.mark.parametrize("wrong", ["x", "nan", "inf", "-inf", ""])
def test_a_number_is_finite(wrong: str) -> None:
    with pytest.raises(SettingError, match=PORT):
        settings.number({PORT: wrong}, PORT)


def test_bounds_are_said() -> None:
    with pytest.raises(SettingError, match=r"^MIDSTAGE_STATS_PORT=70000 is above 65535$"):
        settings.whole({PORT: "70000"}, PORT, least=1, most=65535)
    with pytest.raises(SettingError, match=r"^MIDSTAGE_STATS_PORT=0\.5 is below 1$"):
        settings.number({PORT: "0.5"}, PORT, least=1)


@given(st.integers())
def test_whole_numbers_come_back(value: int) -> None:
    assert settings.whole({PORT: f" {value} "}, PORT) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back(value: float) -> None:
    assert settings.number({PORT: repr(value)}, PORT) == value


@pytest.mark.parametrize(
    ("said", "meant"), [("1", True), ("Yes", True), ("on", True), ("False", False), ("off", False)]
)
def test_flags_are_parsed_not_truthy(said: str, meant: bool) -> None:
    assert settings.flag({PORT: said}, PORT, default=not meant) is meant


def test_a_flag_that_is_neither_is_named() -> None:
    with pytest.raises(SettingError, match=r"MIDSTAGE_STATS_PORT='maybe' is neither"):
        settings.flag({PORT: "maybe"}, PORT, default=True)


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "token"
    made = settings.ensure_secret(file)
    assert len(made) >= 40
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert settings.ensure_secret(file) == settings.secret(file) == made
    assert os.listdir(file.parent) == ["token"]  # noqa: PTH208  names only


def test_two_secrets_differ(tmp_path: Path) -> None:
    assert settings.ensure_secret(tmp_path / "a") != settings.ensure_secret(tmp_path / "b")


def test_all_who_make_a_secret_at_once_get_the_same(tmp_path: Path) -> None:
    got: list[str] = []
    together = threading.Barrier(8)

    def make() -> None:
        together.wait()
        got.append(settings.ensure_secret(tmp_path / "token"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len(set(got)) == 1


def test_a_secret_open_to_others_is_refused_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n")
    file.chmod(0o640)
    with pytest.raises(SettingError, match=f"run: chmod 600 {file}"):
        settings.secret(file)
    file.chmod(0o600)
    assert settings.secret(file) == "abc"


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff\xfe"])
def test_a_secret_is_one_printable_word(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(SettingError, match=str(file)):
        settings.secret(file)


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=str(tmp_path / "token")):
        settings.secret(tmp_path / "token")
