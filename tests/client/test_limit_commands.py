"""Limits and plans on the command line: a real process, a real HTTP server."""

import json
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from tests.client.services import FORESEEN, LIMIT_LEFT, Services

pytestmark = pytest.mark.slow
Midstage = Callable[..., CompletedProcess[str]]


def test_a_limit_is_set_and_deleted_with_the_token(midstage: Midstage, services: Services) -> None:
    where = ["--dir", str(services.directory)]
    numbers = ["--amount", "5", "--per", "2s", "--burst", "10", "--on-failure", "closed"]
    who = ["--customer", "acme", "--app", "chat", "--why", "trial", "--overrides", "gold"]
    done = midstage("set", "limit", "acme-chat", *who, *numbers, *where)
    gone = midstage("delete", "limit", "a/b", "--why", "trial & error", *where)
    assert (done.returncode, done.stdout) == (0, "limit acme-chat set, version 4\n")
    assert (gone.returncode, gone.stdout) == (0, "limit a/b deleted, version 4\n")
    put, delete = services.calls
    assert (put.method, put.path, put.token) == ("PUT", "/v1/limits/acme-chat", "Bearer t0ken")
    assert json.loads(put.body) == {
        **{"customer": "acme", "key": "", "plan": "", "app": "chat"},
        **{"unit": "requests", "amount": 5},
        "algorithm": {"kind": "token_bucket", "period_s": 2.0, "burst": 10},
        **{"on_failure": "closed", "drain": False, "debt": 0, "shadow": False, "strict": False},
        **{"overrides": ["gold"], "why": "trial"},
    }
    assert (delete.method, delete.path) == ("DELETE", "/v1/limits/a%2Fb")
    assert delete.query == {"why": "trial & error"}
    assert (delete.body, delete.token) == (b"", "Bearer t0ken")


def test_what_a_request_would_be_told(midstage: Midstage, services: Services) -> None:
    where = ["--dir", str(services.directory)]
    asked = ["check", "acme", "chat", "--use", "tokens=500", "--label", "model=large"]
    ended = midstage(*asked, *where)
    verdict, titles, row = ended.stdout.splitlines()
    assert verdict == "would be refused by acme-chat; would pass in 0.4 s"
    assert titles.split()[:2] == ["LIMIT", "SAYS"]
    assert row.startswith("acme-chat")
    [call] = services.calls
    assert (call.method, call.path) == ("POST", "/v1/checks/foreseen")
    assert json.loads(call.body) == {
        **{"customer": "acme", "app": "chat", "key": "", "labels": {"model": "large"}},
        "units": {"tokens": 500},
    }
    assert json.loads(midstage(*asked, "-o", "json", *where).stdout) == FORESEEN
    refused = midstage("check", "acme", "chat", "--use", "tokens=many", *where)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--use tokens='many'" in refused.stderr


def test_a_limit_may_ask_for_labels(midstage: Midstage, services: Services) -> None:
    limit = ["set", "limit", "large", "--amount", "5", "--per", "2s"]
    where = ["--dir", str(services.directory)]
    done = midstage(*limit, "--match", "model=large", "--match", "note=a=b", *where)
    assert done.returncode == 0, done.stderr
    [put] = services.calls
    assert json.loads(put.body)["match"] == {"model": "large", "note": "a=b"}

    for wrong in (["--match", "model"], ["--match", "model=a", "--match", "model=b"]):
        refused = midstage(*limit, *wrong, *where)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "--match" in refused.stderr
    assert len(services.calls) == 1


def test_a_customer_is_put_on_a_plan_and_taken_off_it(
    midstage: Midstage, services: Services
) -> None:
    where = ["--dir", str(services.directory)]
    done = midstage("set", "plan", "acme", "gold", "--by", "ann", "--why", "signed", *where)
    gone = midstage("delete", "plan", "acme", "--by", "bob", "--why", "left us", *where)
    assert (done.returncode, done.stdout) == (0, "customer acme is on plan gold, version 4\n")
    assert (gone.returncode, gone.stdout) == (0, "customer acme is on no plan, version 4\n")
    assert done.stderr == ""
    found, put, delete = services.calls
    assert (found.path, found.query) == ("/v1/limits", {"plan": "gold"})
    assert (put.method, put.path) == ("PUT", "/v1/customers/acme/plan")
    assert json.loads(put.body) == {"plan": "gold", "by": "ann", "why": "signed"}
    assert (delete.method, delete.path) == ("DELETE", "/v1/customers/acme/plan")
    assert delete.query == {"by": "bob", "why": "left us"}


@pytest.mark.parametrize(
    ("narrower", "said"),
    [
        ([], "midstage: it holds for every customer, over all applications\n"),
        (["--aggregate"], "midstage: it holds for all customers together, over all applications\n"),
        (["--customer", "acme"], ""),
        (["--plan", "gold"], ""),
        (["--app", "chat"], ""),
        (["--match", "model=large"], ""),
    ],
)
def test_a_limit_for_everybody_is_said_to_be_one(
    midstage: Midstage, services: Services, narrower: list[str], said: str
) -> None:
    numbers = ["--amount", "5", "--per", "1m"]
    where = ["--dir", str(services.directory)]
    done = midstage("set", "limit", "all", *numbers, *narrower, *where)
    assert (done.returncode, done.stdout) == (0, "limit all set, version 4\n")
    assert done.stderr == said


def test_a_plan_without_limits_is_said_to_be_one(midstage: Midstage, services: Services) -> None:
    services.answers["/v1/limits"] = {"limits": []}
    done = midstage("set", "plan", "acme", "glod", "--dir", str(services.directory))
    assert (done.returncode, done.stdout) == (0, "customer acme is on plan glod, version 4\n")
    assert done.stderr == "midstage: no limit is of plan glod yet\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--algorithm token_bucket needs --per"),
        (["--algorithm", "calendar"], "--algorithm calendar needs --every"),
        (
            ["--per", "1m", "--ttl", "1h"],
            "token_bucket has no --ttl, only --per, --burst, --refill",
        ),
        (["--algorithm", "lifetime", "--per", "1m"], "has no --per, no option of its own"),
        (["--per", "1m", "--on-failure", "often"], "is none of open, closed and, say, 10/1m"),
    ],
)
def test_what_is_wrong_with_a_limit_is_said_in_options(
    midstage: Midstage, services: Services, options: list[str], said: str
) -> None:
    where = ["--dir", str(services.directory)]
    ended = midstage("set", "limit", "acme-chat", "--amount", "5", *options, *where)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert said in ended.stderr
    assert services.calls == []


@pytest.mark.parametrize("options", [["--key", "ci"], ["--customer", "acme", "--plan", "gold"]])
def test_a_question_is_not_answered_in_part(
    midstage: Midstage, services: Services, options: list[str]
) -> None:
    ended = midstage("get", "limits", *options, "--dir", str(services.directory))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "--customer" in ended.stderr
    assert services.calls == []


def test_what_a_customer_has_left_is_told(midstage: Midstage, services: Services) -> None:
    where = ["--dir", str(services.directory)]
    ended = midstage("get", "limits", "--customer", "acme", "--app", "chat", *where)
    titles, row = ended.stdout.splitlines()
    assert titles.split()[:4] == ["LIMIT", "SAYS", "USED", "REMAINING"]
    assert row.split()[:8] == ["acme-chat", "5", "requests", "per", "2", "s", "3", "2"]
    [asked] = services.calls
    assert (asked.path, asked.query) == ("/v1/customers/acme/limits", {"app": "chat"})
    assert "OVERRIDDEN BY" not in titles


def test_a_wait_is_told_in_whole_milliseconds_and_never_too_short(
    midstage: Midstage, services: Services
) -> None:
    left = {**LIMIT_LEFT, "wait_s": 0.123456789, "overridden_by": ["gold"]}
    services.answers["/v1/customers/acme/limits"] = {"limits": [left]}
    asked = ["get", "limits", "--customer", "acme", "--dir", str(services.directory)]
    titles, row = midstage(*asked).stdout.splitlines()
    assert "WAIT S   OVERRIDDEN BY" in titles
    assert row.split()[8:10] == ["0.124", "gold"]
    assert "0.123456789" in midstage(*asked, "-o", "json").stdout


def test_a_limit_over_all_customers_is_set(midstage: Midstage, services: Services) -> None:
    numbers = ["--aggregate", "--amount", "1000", "--per", "1s", "--unit", "tokens"]
    done = midstage("set", "limit", "chat", *numbers, "--dir", str(services.directory))
    assert (done.returncode, done.stdout) == (0, "limit chat set, version 4\n")
    body = json.loads(services.calls[-1].body)
    assert (body["customer"], body["aggregate"], body["unit"]) == ("*", True, "tokens")
