"""An answer about usage as a file: whole, with every column, the same in each form."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import quote

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # nor has this
import pytest

from midstage.contracts.requests import Outcome
from midstage.stats.views.usage import asking as asking_module

from .asking import Asked, asking, few_calls
from .conftest import Bench


@pytest.fixture
def asked(bench: Bench) -> Asked:
    return few_calls(bench)


COLUMNS = [
    *("customer", "requests"),
    *(f"outcomes.{outcome}" for outcome in Outcome),
    *("units.cached", "units.images", "units.input_tokens", "units.requests"),
]


def test_csv_has_every_column_and_row(asked: Asked) -> None:
    answer = asked("?group_by=customer", accept="text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    titles, *rows = csv.reader(io.StringIO(answer.text))
    assert titles == COLUMNS
    assert rows == [
        ["acme", "3", "2", "0", "0", "1", "0", "0", "0.5", "3", "1"],
        ["globex", "1", "1", "0", "0", "0", "0", "", "", "3", "1"],
        ["unknown", "1", "0", "1", "0", "0", "0", "", "", "", ""],
    ]
    said = asked().json()
    assert json.loads(answer.headers["midstage-versions"]) == said["versions"]
    assert json.loads(answer.headers["midstage-positions"]) == said["positions"] != {}
    assert "midstage-complete-until" not in answer.headers  # line 5 is missing


def test_csv_tells_an_empty_text_from_one_that_is_missing(bench: Bench) -> None:
    """They are two groups. And whatever callers name things, each is one field of one line."""
    odd = 'a "b",\r\n=c'
    edge = bench.edge()
    ask = asking(
        bench,
        edge.line(1, labels={"team": ""}),
        edge.line(2, labels={"other": "a"}),
        edge.line(3, labels={"team": odd}),
        edge.line(4, labels={odd: "x"}),
    )
    text = ask("?group_by=label.team&measures=requests", accept="text/csv").text
    assert text == 'label.team,requests\r\n,2\r\n"",1\r\n"a ""b"",\r\n=c",1\r\n'
    assert pl.read_csv(io.StringIO(text))["label.team"].to_list() == [None, "", odd]
    name = quote('"label.a ""b"",\r\n=c"')
    found = ask(f"?group_by={name}&measures=requests", accept="text/csv").text
    assert list(csv.reader(io.StringIO(found, newline=""))) == [
        *([f"label.{odd}", "requests"], ["", "3"], ["x", "1"]),
    ]


def test_a_line_of_a_csv_is_never_empty(bench: Bench) -> None:
    """Readers pass over an empty line, and the row with it."""
    ask = asking(bench, bench.edge().line(1, ttft_ms=None))
    assert ask("?measures=ttft_ms.p50", accept="text/csv").text == 'ttft_ms.p50\r\n""\r\n'


def test_a_file_says_up_to_when_it_is_complete(bench: Bench) -> None:
    edge = bench.edge()
    at = datetime.now(UTC)
    ask = asking(bench, edge.line(1), edge.beat(1, at=at))
    assert datetime.fromisoformat(ask().json()["complete_until"]) == at
    said = ask(accept="text/csv").headers["midstage-complete-until"]
    assert datetime.fromisoformat(said) == at


def test_arrow_and_parquet_say_the_same_as_json(asked: Asked) -> None:
    query = "?group_by=customer&window=day&zone=Europe/Berlin&from=2026-01-01T00:00:00Z"
    rows = asked.rows(query)
    stream = asked(query, accept="application/vnd.apache.arrow.stream").content
    file = asked(query, accept="application/vnd.apache.parquet").content
    arrow, parquet = pa.ipc.open_stream(stream).read_all(), pq.read_table(io.BytesIO(file))
    assert arrow.equals(parquet)
    assert arrow.column_names == ["window", "window_end", *COLUMNS]
    assert arrow.schema.field("window").type == pa.timestamp("us", tz="Europe/Berlin")
    assert json.loads(parquet.schema.metadata[b"midstage"])["versions"]
    for row, said in zip(rows, arrow.to_pylist(), strict=True):
        assert said["window"] == datetime.fromisoformat(str(row["window"]))
        assert said["requests"] == row["requests"]
        micros = row["micros"]
        assert isinstance(micros, dict)
        for unit in ("cached", "images", "input_tokens", "requests"):
            exact = None if unit not in micros else Decimal(micros[unit]) / 10**6
            assert said[f"units.{unit}"] == exact
    assert pl.read_parquet(io.BytesIO(file)).height == 3


def test_a_column_is_there_once_however_often_it_is_asked_for(asked: Asked) -> None:
    query = "?measures=units.images,requests,outcomes,units,requests,outcomes.ok,units.images"
    titles, *_ = csv.reader(io.StringIO(asked(query, accept="text/csv").text))
    assert titles == [
        *("units.images", "requests", *COLUMNS[2:7]),
        *("units.cached", "units.input_tokens", "units.requests"),
    ]
    file = asked(query, accept="application/vnd.apache.parquet").content
    assert pl.read_parquet(io.BytesIO(file)).columns == titles


def test_each_kind_of_column_is_the_same_in_every_form(asked: Asked) -> None:
    query = "?group_by=status,estimated,label.team&measures=requests,ttft_ms.p50&order=-requests"
    rows = [
        [str(row["status"]), "true" if row["estimated"] else "false", row["label.team"] or "", "1"]
        for row in asked.rows(query)
    ]
    assert len(rows) == 5
    _, *printed = csv.reader(io.StringIO(asked(query, accept="text/csv").text))
    assert printed == [[*row, ""] for row in rows]
    stream = asked(query, accept="application/vnd.apache.arrow.stream").content
    table = pa.ipc.open_stream(stream).read_all()
    assert [str(kind) for kind in table.schema.types] == [
        "int64",
        "bool",
        "string",
        "int64",
        "double",
    ]
    assert [[str(one["status"]), one["label.team"] or ""] for one in table.to_pylist()] == [
        [row[0], row[2]] for row in rows
    ]


def test_an_export_does_not_depend_on_a_page(asked: Asked) -> None:
    refused = asked("?group_by=customer&limit=1", accept="text/csv")
    assert refused.status_code == 400
    assert "a file holds every group" in refused.json()["detail"]
    empty = asked("?customer=nobody", accept="text/csv")
    assert empty.text == ",".join(COLUMNS[1:7]) + "\r\n"


def test_an_export_has_more_than_a_page_of_rows(bench: Bench) -> None:
    many = asking_module.DEFAULT_ROWS + 5
    edge = bench.edge()
    ask = asking(bench, *(edge.line(n, customer=f"c{n:05}") for n in range(1, many + 1)))
    assert len(ask.rows("?group_by=customer")) == asking_module.DEFAULT_ROWS
    _, *rows = csv.reader(io.StringIO(ask("?group_by=customer", accept="text/csv").text))
    assert [row[0] for row in rows] == [f"c{n:05}" for n in range(1, many + 1)]
    stream = ask("?group_by=customer", accept="application/vnd.apache.arrow.stream").content
    assert pa.ipc.open_stream(stream).read_all().num_rows == many
    file = ask("?group_by=customer", accept="application/vnd.apache.parquet").content
    assert pq.read_table(io.BytesIO(file)).num_rows == many


def test_a_form_that_there_is_not_is_refused(asked: Asked) -> None:
    refused = asked(accept="text/html")
    assert refused.status_code == 406
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("form", ["arrow.stream", "parquet"])
def test_sizes_beyond_64_bits_are_exact_and_fail_nobodys_export(bench: Bench, form: str) -> None:
    """Two events that claim the largest size are enough, and any customer may post them."""
    edge = bench.edge()
    calls = [edge.line(n, bytes_in=2**62, bytes_out=1) for n in (1, 2, 3)]
    answer = asking(bench, *calls)(
        "?measures=bytes_in,bytes_out", accept=f"application/vnd.apache.{form}"
    )
    assert answer.status_code == 200, answer.text
    read = pq.read_table if form == "parquet" else lambda of: pa.ipc.open_stream(of).read_all()
    table = read(io.BytesIO(answer.content))
    assert table.to_pylist() == [{"bytes_in": 3 * 2**62, "bytes_out": 3}]
    assert table.schema.types == [pa.decimal128(38, 0), pa.int64()]


def test_a_unit_beyond_64_bits_is_exact_in_every_form(bench: Bench) -> None:
    edge = bench.edge()
    ask = asking(bench, *(edge.line(n, usage={"images": 10**12}) for n in range(1, 21)))
    assert ask.rows()[0]["micros"] == {"images": 20 * 10**18}
    assert "20000000000000" in ask(accept="text/csv").text
    stream = ask(accept="application/vnd.apache.arrow.stream").content
    (row,) = pa.ipc.open_stream(stream).read_all().to_pylist()
    assert row["units.images"] == Decimal(20 * 10**12)
