"""Dead letters on a terminal and in files: what somebody hostile wrote harms neither."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from midstage.client import dead_letters
from midstage.contracts.errors import RefusedError

from .test_periods import Said, run, stats

Midstage = Callable[..., CompletedProcess[str]]
DLQ = "midstage.requests.v1.stats.dlq"
HOSTILE = "bad\x1b]0;owned\x07\x9b2J\u202e\r\n0 fine"
CONTENT = b'{"id": "\x1b[2J\xff\xc2\x9b",\n "x": 1}'
HELD = [{"topic": "midstage.requests.v1", "refuser": "stats", "dead_letters": 3}]


def letter(number: int, **said: object) -> dict[str, object]:
    plain: dict[str, object] = {
        **{"id": f"{DLQ}/0/{number}", "at": "2026-01-31T12:00:00.123Z", "refuser": "stats"},
        **{"topic": "midstage.requests.v1", "reason": HOSTILE, "source": "jobs"},
        **{"customer": None, "app": "chat", "event_id": "e", "bytes": 7, "cut": False},
    }
    return {**plain, **said}


def page(*letters: Mapping[str, object], following: str | None = None) -> dict[str, object]:
    return {"dead_letters": letters, "held": HELD, "looked_at": 20, "next": following}


def one(**said: object) -> dict[str, object]:
    content = base64.b64encode(CONTENT).decode()
    return {"dead_letter": letter(7, **said), "key": None, "headers": [], "content": content}


def test_they_are_a_table_whose_words_no_terminal_obeys(token: str) -> None:
    said: Said = []
    with stats({"/v1/dead-letters": page(letter(7), letter(6))}, said) as url:
        out = run("get", "dead-letters", "--server", url, "--token-file", token)
    title, first, second = out.splitlines()[:3]
    assert title.split() == ["AT", "REASON", "SOURCE", "APP", "EVENT", "ID", "BYTES", "ID"]
    assert r"bad\x1b]0;owned\x07\x9b2J\u202e\r\n0 fine" in first
    assert first.endswith(f"{DLQ}/0/7")
    assert second.endswith(f"{DLQ}/0/6")
    assert "held: 3 of midstage.requests.v1 by stats; looked at 20" in out
    assert out.replace("\n", "").isprintable()
    assert said[0][3] == "Bearer secret"


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_as_data_they_say_the_same_in_a_way_that_no_terminal_obeys(token: str, form: str) -> None:
    with stats({"/v1/dead-letters": page(letter(7))}, []) as url:
        out = run("get", "dead-letters", "-o", form, "--server", url, "--token-file", token)
    shown = out[: out.index("held: 3 of")]
    assert shown.replace("\n", "").isprintable()
    found = json.loads(shown) if form == "json" else yaml.safe_load(shown)
    assert found["dead_letters"] == [letter(7)]


def test_filters_are_asked_for_and_pages_are_put_together(token: str) -> None:
    said: Said = []
    answers = iter([page(letter(9), following="a/0/9"), page(following="a/0/5"), page(letter(2))])

    class Pages(dict[str, object]):
        def __getitem__(self, path: str) -> object:
            return next(answers)

    with stats(Pages(), said) as url:
        out = run(
            *("get", "dead-letters", "--topic", "midstage.requests.v1", "--refuser", "stats"),
            *("--source", "jobs", "--customer", "acme", "--reason", "time", "--limit", "2"),
            *("--from", "2026-01-31T12:00:00Z", "-o", "json"),
            *("--server", url, "--token-file", token),
        )
    asked = [dict(parse_qsl(urlsplit(path).query)) for _, path, _, _ in said]
    filters = {
        **{"topic": "midstage.requests.v1", "refuser": "stats", "source": "jobs"},
        **{"customer": "acme", "reason": "time", "from": "2026-01-31T12:00:00Z"},
    }
    assert asked == [
        {**filters, "limit": "2"},
        {**filters, "limit": "1", "before": "a/0/9"},
        {**filters, "limit": "1", "before": "a/0/5"},
    ]
    found = json.loads(out[: out.index("held: 3 of")])
    assert [each["id"] for each in found["dead_letters"]] == [f"{DLQ}/0/9", f"{DLQ}/0/2"]
    assert "looked at 60" in out


def test_where_there_are_more_it_says_how_to_go_on(token: str) -> None:
    answer = {"/v1/dead-letters": page(letter(7), following=f"{DLQ}/0/7")}
    with stats(answer, []) as url:
        out = run("get", "dead-letters", "--limit", "1", "--server", url, "--token-file", token)
    assert f"there are more; go on with --before {DLQ}/0/7\n" in out


def test_one_goes_byte_by_byte_into_a_pipe_or_a_file(
    midstage: Midstage, tmp_path: Path, token: str
) -> None:
    file = tmp_path / "event.json"
    path = f"/v1/dead-letters/{DLQ}/0/7"
    with stats({path: one(cut=True, bytes=99)}, []) as url:
        told = midstage(
            *("get", "dead-letter", f"{DLQ}/0/7", "-f", str(file)),
            *("--server", url, "--token-file", token),
        )
    assert told.returncode == 0, told.stderr
    assert file.read_bytes() == CONTENT
    assert told.stdout == ""
    assert told.stderr.splitlines() == [
        r"refused by stats: bad\x1b]0;owned\x07\x9b2J\u202e\r\n0 fine",
        f"cut: these are the first {len(CONTENT)} of 99 bytes",
    ]


def test_on_a_terminal_one_is_shown_and_not_obeyed(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "_is_terminal", lambda: True)
    with stats({f"/v1/dead-letters/{DLQ}/0/7": one()}, []) as url:
        out = run("get", "dead-letter", f"{DLQ}/0/7", "--server", url, "--token-file", token)
    assert out.splitlines()[1:] == [r'{"id": "\x1b[2J\xff\x9b",', ' "x": 1}']


@pytest.mark.parametrize("bad", ["", "7", f"{DLQ}/0", f"{DLQ}/0/7/8", "//", "a//7"])
def test_an_id_that_is_none_is_refused_with_one_that_is(bad: str, token: str) -> None:
    with stats({}, []) as url, pytest.raises(RefusedError, match=r"like midstage\.requests\.v1"):
        run("get", "dead-letter", bad, "--server", url, "--token-file", token)
