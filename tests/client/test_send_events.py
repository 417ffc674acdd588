"""``midstage send events``: sent again with the same ids until acknowledged, or refused by name."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner, Result

from midstage.client import send_events
from midstage.client.main import build
from midstage.client.send_events import Placed, batches
from midstage.contracts.errors import RefusedError, UnavailableError

from .answering import Answering, answering

GOOD = {"app": "ocr", "customer": "acme", "status": 200, "outcome": "ok", "duration_ms": 1}
Body = Sequence[dict[str, object]]
Answer = Callable[[Body], tuple[int, object]]


def accepted(body: Body) -> tuple[int, object]:
    told = [{"index": at, "state": "accepted", "id": "x"} for at in range(len(body))]
    return 200, {"accepted": len(told), "known": 0, "refused": 0, "events": told}


def away(_: Body) -> tuple[int, object]:
    return 503, {"detail": "not acknowledged: no answer within 10 s"}


@contextmanager
def stats(answers: Sequence[Answer], got: list[Body]) -> Iterator[str]:
    """A server that gives these answers one after the other, the last one for ever."""
    left = list(answers)

    class Handler(Answering):
        def do_POST(self) -> None:  # noqa: N802  the library's name
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == "/v1/events?detail=true"
            assert self.headers["authorization"] == "Bearer secret"
            assert self.headers["content-type"] == "application/cloudevents-batch+json"
            got.append(body)
            status, document = (left.pop(0) if len(left) > 1 else left[0])(body)
            content = json.dumps(document).encode()
            self.answer(status, content)

    with answering(Handler) as url:
        yield url


def run(url: str, token: str, text: str, *more: str) -> Result:
    where = ("--server", url, "--token-file", token)
    return CliRunner().invoke(build(), ["send", "events", "-", *where, *more], input=text)


def lines(*documents: object) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)


def test_what_is_not_acknowledged_is_sent_again_with_the_same_ids(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_events, "_FIRST_PAUSE_S", 0.01)
    got: list[Body] = []
    with stats([away, away, accepted], got) as url:
        done = run(url, token, lines(GOOD, {**GOOD, "id": "mine", "source": "batch"}))
    assert (done.exit_code, done.stdout) == (0, "2 of 2 events acknowledged\n")
    assert len(got) == 3
    assert got[0] == got[1] == got[2]
    first, second = got[0]
    assert (second["id"], second["source"], first["data"]) == ("mine", "batch", GOOD)
    assert str(first["source"]).startswith("cli/")


def test_what_is_refused_is_named_by_its_place_and_the_others_are_taken(token: str) -> None:
    def second_is_wrong(body: Body) -> tuple[int, object]:
        told: list[dict[str, object]] = [
            {"index": 0, "state": "accepted"},
            {"index": 1, "state": "refused", "pointer": "/data/status", "detail": "no number"},
            {"index": 2, "state": "known"},
        ]
        assert len(body) == 3
        return 200, {"accepted": 1, "known": 1, "refused": 1, "events": told}

    got: list[Body] = []
    text = lines(GOOD) + "\nnonsense\n" + lines({**GOOD, "status": "x"}, GOOD)
    with stats([second_is_wrong], got) as url:
        done = run(url, token, text)
    assert isinstance(done.exception, RefusedError)
    assert done.stdout == "2 of 4 events acknowledged, 1 of them known already\n"
    assert "line 3: not a JSON object" in done.stderr
    assert "line 4: /data/status: no number" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([GOOD, GOOD]),
        json.dumps([GOOD, GOOD], indent=2),
        lines([GOOD], [GOOD]),
        lines([GOOD], GOOD),
    ],
)
def test_an_array_is_taken_as_its_events(token: str, text: str) -> None:
    got: list[Body] = []
    with stats([accepted], got) as url:
        done = run(url, token, text)
    assert done.stdout == "2 of 2 events acknowledged\n"
    assert [event["data"] for event in got[0]] == [GOOD, GOOD]


def test_who_gets_no_acknowledgement_is_told_what_is_known(token: str) -> None:
    got: list[Body] = []
    with stats([away], got) as url, pytest.raises(UnavailableError, match="0 events are ack"):
        raise run(url, token, lines(GOOD), "--timeout", "1").exception or AssertionError
    assert got


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, {"detail": "no such key"}), "no such key"),
        ((200, {"events": []}), "not about what was sent"),
        ((200, []), "not one of midstage's"),
    ],
)
def test_who_is_refused_or_answered_by_a_stranger_ends(
    token: str, answer: tuple[int, object], sentence: str
) -> None:
    with stats([lambda _: answer], []) as url:
        done = run(url, token, lines(GOOD))
    assert sentence in str(done.exception)


def test_a_post_holds_a_bounded_number_and_size() -> None:
    many = list(batches(Placed("", b"{}") for _ in range(2_500)))
    assert [len(batch) for batch in many] == [1_000, 1_000, 500]
    large = list(batches(Placed("", b"x" * 900_000) for _ in range(5)))
    assert [len(batch) for batch in large] == [2, 2, 1]
    assert list(batches([])) == []
