import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from midstage.client.show import EMPTY, GAP, Output, show, table
from midstage.contracts.errors import UnavailableError

ANSWER = json.dumps(
    {
        "usage": [
            {
                "customer": "acme",
                "app": "chat",
                "minute": None,
                "requests": 1200,
                "outcomes": {"ok": 1100, "refused": 100},
                "units": {"input_tokens": 12.5},
            },
            {
                "customer": "日本",
                "app": "ocr",
                "minute": None,
                "requests": 7,
                "outcomes": {"ok": 7},
                "units": {"images": 7},
            },
        ],
        "more": {"kept": True},
    }
).encode()
COLUMNS = ("customer", "app", "minute", "requests", "outcomes.*", "units.*")


def test_a_table_has_titles_and_numbers_to_the_right() -> None:
    shown = show(ANSWER, rows="usage", columns=COLUMNS, output=Output.TABLE)
    assert shown.splitlines() == [
        "CUSTOMER   APP    REQUESTS     OK   REFUSED   IMAGES   INPUT TOKENS",
        "acme       chat       1200   1100       100        0           12.5",
        "日本       ocr           7      7         0        7              0",
    ]


def test_json_and_yaml_keep_all_that_the_service_said() -> None:
    as_json = show(ANSWER, rows="usage", columns=COLUMNS, output=Output.JSON)
    as_yaml = show(ANSWER, rows="usage", columns=COLUMNS, output=Output.YAML)
    assert json.loads(as_json) == yaml.safe_load(as_yaml) == json.loads(ANSWER)
    assert as_json.startswith('{\n  "usage": [\n')


def test_ranges_flags_and_the_unknown() -> None:
    rows = [
        {"source": "a", "holes": [[3, 3], [7, 9]], "closed": True, "until": None, "torn": 0},
        {"source": "b", "holes": [], "closed": False, "until": "12:00", "torn": 1},
    ]
    assert table(rows, ("source", "holes", "closed", "torn", "until")).splitlines() == [
        "SOURCE   HOLES   CLOSED   TORN   UNTIL",
        "a        3,7-9   yes         0   -",
        "b        none    no          1   12:00",
    ]


def test_what_says_nothing_takes_no_room() -> None:
    rows = [
        {"limit": "a", "key": "", "match": {}, "at": "2026-01-31T12:00:00.123456Z"},
        {"limit": "b", "key": "", "match": {}, "at": "2026-01-31T13:00:00+01:00"},
    ]
    assert table(rows, ("limit", "key", "match", "at")).splitlines() == [
        "LIMIT   AT",
        "a       2026-01-31T12:00:00Z",
        "b       2026-01-31T13:00:00+01:00",
    ]


def test_no_rows_is_no_data_and_no_error() -> None:
    assert table([], COLUMNS) == ""
    assert show(b'{"usage":[]}', rows="usage", columns=COLUMNS, output=Output.TABLE) == ""


def test_names_can_not_steer_the_terminal() -> None:
    shown = table([{"customer": "a\x1b[2J\nb\u202e"}], ("customer",))
    assert shown.splitlines() == ["CUSTOMER", r"a\x1b[2J\nb\u202e"]


@pytest.mark.parametrize("answer", [b"<html>", b"[1]", b"", b"\xff"])
def test_an_answer_of_something_else_is_named(answer: bytes) -> None:
    with pytest.raises(UnavailableError, match="not one of midstage's"):
        show(answer, rows="usage", columns=COLUMNS, output=Output.TABLE)


values = st.none() | st.integers() | st.text() | st.booleans() | st.lists(st.integers())


@given(st.lists(st.fixed_dictionaries({"a": values, "b": st.integers(), "c": values}), min_size=1))
def test_a_row_is_one_line_and_columns_stand_under_each_other(
    rows: list[dict[str, object]],
) -> None:
    lines = table(rows, ("a", "b", "c")).split("\n")
    assert len(lines) == len(rows) + 1
    numbers = table(rows, ("b",)).split("\n")
    assert len({cell_len(line) for line in numbers}) == 1
    assert all(line == line.rstrip() for line in lines)
    assert GAP in lines[0] or all(row["a"] in EMPTY and row["c"] in EMPTY for row in rows)
