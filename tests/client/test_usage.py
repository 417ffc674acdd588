"""``midstage get usage`` and ``midstage.client.usage`` over a stats that has counted events."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from midstage import client
from midstage.client import get_usage
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.memory import MemoryLog
from tests.serving import served
from tests.stats.conftest import NOON, made

Midstage = Callable[..., subprocess.CompletedProcess[str]]
DAY = timedelta(days=1)

pytestmark = pytest.mark.slow


@dataclass
class Stats:
    """A stats at a port, and the files with the operators' token and a customer's key."""

    url: str
    token_file: Path
    key_file: Path

    @property
    def options(self) -> list[str]:
        return ["--server", self.url, "--token-file", str(self.token_file)]


@pytest.fixture(scope="module")
def stats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stats]:
    directory = tmp_path_factory.mktemp("stats")
    bench = made(MemoryLog(), directory)
    edge = bench.edge()
    bench.write(
        edge.line(1, labels={"team": "a", 'a, "b"': "odd"}),
        edge.line(2, customer="globex", time=NOON + DAY),
        edge.line(3, app="ocr", usage={"images": 0.5}, time=NOON + DAY, status=201),
    )
    key = directory / "acmes-key"
    key.write_text("acmes-key\n")
    key.chmod(0o600)
    with served(bench.caught_up().app) as url:
        yield Stats(url=url, token_file=directory / "token", key_file=key)
    bench.stop()


def test_usage_is_a_table_on_stdout(midstage: Midstage, stats: Stats) -> None:
    ended = midstage("get", "usage", *stats.options)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "CUSTOMER   APP    REQUESTS   OK   IMAGES   INPUT TOKENS   UNITS REQUESTS",
        "acme       chat          1    1        0              3                1",
        "acme       ocr           1    1      0.5              0                0",
        "globex     chat          1    1        0              3                1",
    ]


def test_quantiles_say_of_what_and_no_more_than_is_known(midstage: Midstage, stats: Stats) -> None:
    asked = ["-g", "app", "-m", "latency_ms.p50,latency_ms.p99.9"]
    ended = midstage("get", "usage", *stats.options, *asked)
    assert (ended.returncode, ended.stderr) == (0, "")
    titles, row, _ = (re.split("   +", line.strip()) for line in ended.stdout.splitlines())
    assert titles == ["APP", "LATENCY MS P50", "LATENCY MS P99.9"]
    assert all(len(number.replace(".", "").lstrip("0")) <= 4 for number in row[1:])
    exact = json.loads(midstage("get", "usage", *stats.options, *asked, "-o", "json").stdout)
    assert float(row[2]) == pytest.approx(exact["usage"][0]["latency_ms"]["p99.9"], rel=1e-3)


def test_the_question_is_passed_on(midstage: Midstage, stats: Stats) -> None:
    ended = midstage(
        *("get", "usage", *stats.options, "-g", "label.team", "-m", "requests,customers"),
        *("--customer", "acme", "--customer", "globex", "--app", "chat", "--where", "status=200"),
        *("--from", "2026-01-01T00:00:00Z", "--to", "2026-02-01T00:00:00Z", "--window", "week"),
        *("--zone", "Europe/Berlin", "--order", "-requests"),
    )
    assert ended.stderr == ""
    titles, *rows = ended.stdout.splitlines()
    assert titles.split() == ["WINDOW", "LABEL", "TEAM", "REQUESTS", "CUSTOMERS"]
    assert [row.split() for row in rows] == [
        ["2025-12-29T00:00:00+01:00", "-", "1", "1"],
        ["2025-12-29T00:00:00+01:00", "a", "1", "1"],
    ]
    rising = ("-g", "app", "-m", "requests", "--order", "requests")
    _, *rows = midstage("get", "usage", *stats.options, *rising).stdout.splitlines()
    assert [row.split() for row in rows] == [["ocr", "1"], ["chat", "2"]]


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        ([], 3),
        (["--customer", "globex"], 1),
        (["--app", "ocr"], 1),
        (["--where", "label.team=a"], 1),
        (["--from", "2026-01-02T00:00:00Z"], 2),
        (["--to", "2026-01-02T00:00:00Z"], 1),
    ],
)
def test_each_option_narrows(
    midstage: Midstage, stats: Stats, options: list[str], requests: int
) -> None:
    ended = midstage("get", "usage", *stats.options, "-o", "json", *options)
    assert sum(row["requests"] for row in json.loads(ended.stdout)["usage"]) == requests


def test_all_pages_are_one_answer(
    midstage: Midstage, stats: Stats, monkeypatch: pytest.MonkeyPatch, capsys: object
) -> None:
    del capsys
    monkeypatch.setattr(get_usage, "_PAGE", 1)
    service = client.api.Service(url=stats.url, token_file=stats.token_file)
    whole = json.loads(get_usage.whole(service, [("group_by", "customer,app")]))
    assert [(row["customer"], row["app"]) for row in whole["usage"]] == [
        *(("acme", "chat"), ("acme", "ocr"), ("globex", "chat")),
    ]
    assert whole["next"] is None
    first = midstage("get", "usage", *stats.options, "--limit", "1", "-o", "json")
    said = json.loads(first.stdout)
    assert [row["app"] for row in said["usage"]] == ["chat"]
    assert said["versions"] == whole["versions"]


def test_a_file_has_every_column(midstage: Midstage, stats: Stats, tmp_path: Path) -> None:
    file = tmp_path / "usage.parquet"
    ended = midstage("get", "usage", *stats.options, "-o", "parquet", "-f", str(file))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert pl.read_parquet(file)["units.images"].to_list() == [None, Decimal("0.500000"), None]
    stream = tmp_path / "usage.arrows"
    midstage("get", "usage", *stats.options, "-o", "arrow", "-f", str(stream))
    assert pl.read_ipc_stream(stream).equals(pl.read_parquet(file))
    printed = midstage("get", "usage", *stats.options, "-o", "csv")
    titles, *rows = csv.reader(io.StringIO(printed.stdout))
    assert titles[:3] == ["customer", "app", "requests"]
    assert len(rows) == 3
    assert {one.name for one in tmp_path.iterdir()} == {"usage.parquet", "usage.arrows"}


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_file_that_can_not_be_written_is_told(
    midstage: Midstage, stats: Stats, tmp_path: Path, form: str
) -> None:
    file = tmp_path / "missing" / "usage"
    ended = midstage("get", "usage", *stats.options, "-o", form, "-f", str(file))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"midstage: {file} can't be written: No such file")
    assert list(tmp_path.iterdir()) == []


def test_a_customers_key_sees_its_own(midstage: Midstage, stats: Stats) -> None:
    key = ["--server", stats.url, "--token-file", str(stats.key_file)]
    ended = midstage("get", "usage", *key)
    assert "globex" not in ended.stdout
    assert ended.stdout.count("acme") == 2
    refused = midstage("get", "usage", *key, "--customer", "globex")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "sees its own usage only" in refused.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--window", "day"], "a window of one day needs from"),
        (["-g", "colour"], "group_by: 'colour' is none of"),
        (["--where", "status"], "--where 'status' is not like status=429"),
        (["-o", "csv", "--limit", "3"], "-o csv holds every row"),
        (["--from", "2026-01-01T00:00:00"], "has no time zone"),
    ],
)
def test_what_can_not_be_meant_is_told(
    midstage: Midstage, stats: Stats, options: list[str], said: str
) -> None:
    ended = midstage("get", "usage", *stats.options, *options)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert said in ended.stderr


def test_without_a_token_nothing_is_told(midstage: Midstage, stats: Stats) -> None:
    ended = midstage("get", "usage", "--server", stats.url)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Authorization: Bearer" in ended.stderr


def test_usage_is_a_frame(stats: Stats) -> None:
    found = client.usage(
        since=NOON,
        until="2026-02-01T00:00:00Z",
        window="day",
        zone="Europe/Berlin",
        group_by=["customer"],
        measures=["requests", "units"],
        where={"customer": ["acme", "globex"], "app": "chat"},
        order=["-customer"],
        server=stats.url,
        token_file=stats.token_file,
    )
    assert isinstance(found, pl.DataFrame)
    assert found.columns == [
        *("window", "window_end", "customer", "requests"),
        *("units.input_tokens", "units.requests"),
    ]
    assert found["customer"].to_list() == ["globex", "acme"]
    assert found["units.input_tokens"].to_list() == [3, 3]
    assert found["window"].to_list()[1] == datetime(2025, 12, 31, 23, tzinfo=UTC)
    same = client.usage(server=stats.url, token_file=stats.token_file, frame="pandas")
    assert isinstance(same, pd.DataFrame)
    assert same["requests"].tolist() == [3]


def test_a_frame_is_of_what_was_asked_for(stats: Stats) -> None:
    def requests(**asked: Any) -> list[int]:
        found = client.usage(server=stats.url, token_file=stats.token_file, **asked)
        counts: list[int] = found["requests"].to_list()
        return counts

    assert requests() == [3]
    assert requests(since=NOON + DAY) == [2]
    assert requests(until=NOON + DAY) == requests(until="2026-01-02T12:00:00Z") == [1]
    assert requests(where={"label.team": "a"}) == requests(where={"app": ["ocr"]}) == [1]
    monthly: dict[str, Any] = {
        "since": "2026-01-01T00:00:00Z",
        "window": "month",
        "group_by": ["app"],
    }
    assert requests(**monthly, order=["requests"]) == [1, 2]
    own = client.usage(group_by=["customer"], server=stats.url, token_file=stats.key_file)
    assert own["customer"].to_list() == ["acme"]


def test_a_label_with_commas_in_its_name_is_one(midstage: Midstage, stats: Stats) -> None:
    name = 'label.a, "b"'
    found = client.usage(
        group_by=["app", name], order=[f"-{name}"], server=stats.url, token_file=stats.token_file
    )
    assert found[name].to_list() == ["odd", None, None]
    shown = midstage("get", "usage", "-g", '"label.a, ""b"""', *stats.options)
    assert shown.stdout.startswith('LABEL A, "B"')


def test_a_frame_refuses_as_the_service_does(stats: Stats) -> None:
    with pytest.raises(RefusedError, match="zone: 'Mars' is no time zone"):
        client.usage(zone="Mars", server=stats.url, token_file=stats.token_file)
    with pytest.raises(RefusedError, match="has no time zone"):
        client.usage(since=datetime(2026, 1, 1), server=stats.url)  # noqa: DTZ001  that is the fault
    with pytest.raises(RefusedError, match="where: app has no value"):  # not of all of them
        client.usage(where={"app": []}, server=stats.url, token_file=stats.token_file)
    with pytest.raises(UnavailableError, match="does not answer"):
        client.usage(server="http://127.0.0.1:1")


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(RefusedError, match=r"pip install 'midstage-client\[frames\]'"):
        client.usage(server="http://127.0.0.1:1")
