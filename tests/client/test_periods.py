"""Periods, statements, completeness and the recount from the command line."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from midstage.client.main import build
from midstage.contracts.errors import RefusedError

from .answering import Answering, answering

Said = list[tuple[str, str, bytes, str | None]]


@contextmanager
def stats(answers: Mapping[str, object], said: Said) -> Iterator[str]:
    """A server that says what it is told to, and keeps what it was asked."""

    class Handler(Answering):
        def do_GET(self) -> None:  # noqa: N802  the library's name
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            said.append((self.command, self.path, body, self.headers.get("authorization")))
            answer = answers[self.path.partition("?")[0]]
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.answer(200, content)

        do_POST = do_GET  # noqa: N815  the library's name

    with answering(Handler) as url:
        yield url


def run(*arguments: str) -> str:
    result = CliRunner().invoke(build(), arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_a_period_is_closed_over_named_gaps(token: str) -> None:
    said: Said = []
    answer = {"/v1/periods/2026-11/close": {"sha256": "ab", "gaps": [{}, {}]}}
    with stats(answer, said) as url:
        out = run(
            *("close", "period", "2026-11", "--zone", "Europe/Berlin", "--accept-gaps"),
            *("--by", "ann", "--why", "lost", "--server", url, "--token-file", token),
        )
    assert out == "period 2026-11 closed, over 2 gaps; its statement has SHA-256 ab\n"
    method, _, body, authorization = said[0]
    assert (method, authorization) == ("POST", "Bearer secret")
    assert json.loads(body) == {
        "from": None,
        "to": None,
        "zone": "Europe/Berlin",
        "accept_gaps": True,
        "by": "ann",
        "why": "lost",
    }


def test_a_statement_is_printed_byte_for_byte(token: str) -> None:
    said: Said = []
    statement = b'{"lines":[]}\n'
    with stats({"/v1/periods/2026-11/statement": statement}, said) as url:
        out = run(
            *("get", "statement", "2026-11", "-o", "json", "--from-rows"),
            *("--server", url, "--token-file", token),
        )
    assert out.encode() == statement
    assert said[0][1] == "/v1/periods/2026-11/statement?form=json&from_rows=true"
    assert said[0][3] == "Bearer secret"


def test_completeness_is_a_table_of_hours() -> None:
    hour = {"source": "edges/e/a", "hour": "2026-11-01T00:00:00Z", "state": "missing", "rows": 7}
    with stats({"/v1/completeness": {"complete": False, "hours": [hour]}}, []) as url:
        out = run("get", "completeness", "--from", "-2h", "--server", url)
    assert "edges/e/a" in out
    assert "missing" in out


def test_a_recount_goes_day_by_day_and_fails_where_something_differs(token: str) -> None:
    said: Said = []
    day = {"day": "2026-11-01", "rows": 3, "cells": 4, "differences": 0, "first": [], "next": None}
    whole: dict[str, object] = {"rows": 3, "differences": 0, "first": []}
    answers: dict[str, object] = {"/v1/recount/day": day, "/v1/recount/whole": whole}
    asked = ("stats", "recount", "--token-file", token, "--server")
    with stats(answers, said) as url:
        assert "3 rows of 1 days in 4 cells" in run(*asked, url)
        wrong = {
            "table": "minutes",
            "at": "2026-11-01T10:00:00Z",
            "cell": ["acme", "chat"],
            "rows_say": "3",
            "ledger_says": "4",
        }
        answers["/v1/recount/day"] = {**day, "differences": 1, "first": [wrong]}
        with pytest.raises(RefusedError, match="1 differ from the ledger"):
            run(*asked, url)
    assert [path for _, path, _, _ in said[:2]] == [
        "/v1/recount/day?after=0001-01-01",
        "/v1/recount/whole",
    ]
