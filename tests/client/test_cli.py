"""The command line as people use it: a real process, a real HTTP server, exit codes."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
Midstage = Callable[..., CompletedProcess[str]]

USAGE = {
    "usage": [
        {
            "customer": "acme",
            "app": "chat",
            "requests": 3,
            "outcomes": {"ok": 3},
            "units": {"requests": 3},
            "micros": {"requests": 3_000_000},
        }
    ],
    "next": None,
}
SOURCES = {
    "sources": [
        {
            "source": "edges/edge-1/a",
            "highest": 9,
            "rows": 8,
            "holes": [[4, 4]],
            "closed": True,
            "torn": 0,
            "complete_until": None,
        }
    ]
}
LIMITS = {
    "limits": [
        {
            "limit": "acme-chat",
            "customer": "acme",
            "key": "",
            "plan": "",
            "app": "chat",
            "match": {"model": "large"},
            "unit": "requests",
            "amount": 5,
            "says": "5 requests per 2 s, 10 at once",
            "algorithm": {"kind": "token_bucket", "period_s": 2.0, "burst": 10},
            "on_failure": "closed",
            "by": "api",
            "why": "trial",
            "at": "2026-01-31T12:00:00Z",
            "version": 3,
        }
    ]
}
LEFT = {
    "customer": "acme",
    "plan": None,
    "limits": [
        {
            **{"limit": "acme-chat", "app": "chat", "unit": "requests"},
            **{"says": "5 requests per 2 s", "quota": 5, "used": 3, "remaining": 2},
            **{"wait_s": 0.4, "on_failure": "open", "shadow": False, "overridden_by": []},
            **{"because": "customer acme, application chat", "by": "api", "why": ""},
            "at": "2026-01-31T12:00:00Z",
        }
    ],
}
FORESEEN = {
    **{"admitted": False, "violated": ["acme-chat"], "retry_after_s": 0.4},
    "limits": LEFT["limits"],
}
AVAILABILITY = {
    "availability": [
        {
            **{"app": "chat", "minute": None, "hour": None, "good": 3, "valid": 4},
            **{"availability": 0.75, "target": 0.999},
            "budget": {
                **{"allowed_errors": 0.004, "allowed_micros": 4_000, "errors": 1},
                **{"left": -0.996, "left_micros": -996_000, "left_share": -249.0},
                "exhausted": True,
            },
        }
    ],
    "complete_until": None,
}
ANSWERS = {
    "/v1/usage": USAGE,
    "/v1/sources": SOURCES,
    "/v1/limits": LIMITS,
    "/v1/customers/acme/limits": LEFT,
    "/v1/availability": AVAILABILITY,
}


@dataclass
class Call:
    """A request that the services got."""

    method: str
    path: str
    query: dict[str, str]
    token: str | None
    body: bytes


@dataclass
class Services:
    """Stands where stats and throttle stand, and notes what it is asked."""

    directory: Path
    calls: list[Call] = field(default_factory=list)
    problems: dict[str, int] = field(default_factory=dict)
    url: str = ""

    def answer(self, call: Call) -> tuple[int, object]:
        self.calls.append(call)
        if call.path in self.problems:
            status = self.problems[call.path]
            return status, {"status": status, "detail": "the service's own sentence"}
        if call.query.get("customer") == "nobody":
            return 200, {"usage": [], "next": None}
        if call.method == "GET":
            return 200, ANSWERS[call.path]
        if call.path == "/v1/checks/foreseen":
            return 200, FORESEEN
        name = call.path.removeprefix("/v1/limits/")
        return 200, {"name": name, "version": 4, "command_id": "c", "repeated": False}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    found = Services(directory=tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            url = urlsplit(self.path)
            call = Call(
                method=self.command,
                path=url.path,
                query=dict(parse_qsl(url.query)),
                token=self.headers.get("authorization"),
                body=self.rfile.read(int(self.headers.get("content-length", 0))),
            )
            status, document = found.answer(call)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815  the server's own names

        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    token.chmod(0o600)
    platform = {
        **dict.fromkeys(("stats", "throttle", "gateway"), found.url),
        **dict.fromkeys(("deploy", "control", "hpa", "data"), found.url),
        "kafka": "127.0.0.1:9",
        "token_file": str(token),
        "something_new": 1,
    }
    (tmp_path / "platform.json").write_text(json.dumps(platform))
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_availability_is_shown_with_its_budget(midstage: Midstage, services: Services) -> None:
    ended = midstage("get", "availability", "--by", "app", "--dir", str(services.directory))
    assert (ended.returncode, ended.stderr) == (0, "")
    titles, row = (re.split("   +", line) for line in ended.stdout.splitlines())
    shown = dict(zip(titles, row, strict=True))
    assert (shown["APP"], shown["AVAILABILITY"], shown["EXHAUSTED"]) == ("chat", "0.75", "yes")
    assert services.calls[0].query == {"by": "app"}


def test_that_there_is_nothing_is_no_data(midstage: Midstage, services: Services) -> None:
    ended = midstage("get", "usage", "--customer", "nobody", "--dir", str(services.directory))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "nothing found\n")


def test_sources_show_their_holes(midstage: Midstage, services: Services) -> None:
    ended = midstage("get", "sources", "--server", services.url + "/")
    assert ended.stdout.splitlines() == [
        "SOURCE           HIGHEST   ROWS   HOLES   CLOSED   TORN",
        "edges/edge-1/a         9      8   4       yes         0",
    ]


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_all_of_it(
    midstage: Midstage, services: Services, output: str, read: object
) -> None:
    ended = midstage("get", "limits", "-o", output, "--dir", str(services.directory))
    assert callable(read)
    assert read(ended.stdout) == LIMITS


def test_a_limit_is_set_and_deleted_with_the_token(midstage: Midstage, services: Services) -> None:
    where = ["--dir", str(services.directory)]
    numbers = ["--amount", "5", "--per", "2s", "--burst", "10", "--on-failure", "closed"]
    numbers.append("--strict")
    who = ["--customer", "acme", "--app", "chat", "--why", "trial", "--overrides", "gold"]
    done = midstage("set", "limit", "acme-chat", *who, *numbers, *where)
    gone = midstage("delete", "limit", "a/b", *where)
    assert (done.returncode, done.stdout) == (0, "limit acme-chat set, version 4\n")
    assert (gone.returncode, gone.stdout) == (0, "limit a/b deleted, version 4\n")
    put, delete = services.calls
    assert (put.method, put.path, put.token) == ("PUT", "/v1/limits/acme-chat", "Bearer t0ken")
    assert json.loads(put.body) == {
        **{"customer": "acme", "key": "", "plan": "", "app": "chat"},
        **{"unit": "requests", "amount": 5},
        "algorithm": {"kind": "token_bucket", "period_s": 2.0, "burst": 10},
        **{"on_failure": "closed", "drain": False, "debt": 0, "shadow": False, "strict": True},
        **{"overrides": ["gold"], "why": "trial"},
    }
    assert (delete.method, delete.path) == ("DELETE", "/v1/limits/a%2Fb")
    assert (delete.body, delete.token) == (b"", "Bearer t0ken")


def test_a_limit_over_all_customers_is_set(midstage: Midstage, services: Services) -> None:
    numbers = ["--aggregate", "--amount", "1000", "--per", "1s", "--unit", "tokens"]
    done = midstage("set", "limit", "chat", *numbers, "--dir", str(services.directory))
    assert (done.returncode, done.stdout) == (0, "limit chat set, version 4\n")
    body = json.loads(services.calls[-1].body)
    assert (body["customer"], body["aggregate"], body["unit"]) == ("*", True, "tokens")


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
    gone = midstage("delete", "plan", "acme", *where)
    assert (done.returncode, done.stdout) == (0, "customer acme is on plan gold, version 4\n")
    assert (gone.returncode, gone.stdout) == (0, "customer acme is on no plan, version 4\n")
    put, delete = services.calls
    assert (put.method, put.path) == ("PUT", "/v1/customers/acme/plan")
    assert json.loads(put.body) == {"plan": "gold", "by": "ann", "why": "signed"}
    assert (delete.method, delete.path) == ("DELETE", "/v1/customers/acme/plan")


def test_what_a_customer_has_left_is_told(midstage: Midstage, services: Services) -> None:
    where = ["--dir", str(services.directory)]
    ended = midstage("get", "limits", "--customer", "acme", "--app", "chat", *where)
    titles, row = ended.stdout.splitlines()
    assert titles.split()[:4] == ["LIMIT", "SAYS", "USED", "REMAINING"]
    assert row.split()[:8] == ["acme-chat", "5", "requests", "per", "2", "s", "3", "2"]
    [asked] = services.calls
    assert (asked.path, asked.query) == ("/v1/customers/acme/limits", {"app": "chat"})


@pytest.mark.parametrize(("status", "said"), [(404, "midstage: the service's own sentence\n")])
def test_a_refusal_is_the_services_own_sentence(
    midstage: Midstage, services: Services, status: int, said: str
) -> None:
    services.problems["/v1/usage"] = status
    ended = midstage("get", "usage", "--dir", str(services.directory))
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", said)


def test_a_service_that_can_not_now_is_named(midstage: Midstage, services: Services) -> None:
    services.problems["/v1/limits"] = 503
    ended = midstage("get", "limits", "--server", services.url)
    assert ended.returncode == 1
    assert f"{services.url} can't do that now: the service's own sentence" in ended.stderr


@pytest.mark.parametrize("command", [["get", "usage"], ["get", "sources"], ["send", "log", "-"]])
def test_where_nothing_runs_the_remedy_is_said(
    midstage: Midstage, tmp_path: Path, command: list[str]
) -> None:
    ended = midstage(*command, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "midstage: no platform runs in .midstage; start one with make up\n"


def test_what_a_stopped_platform_left_behind_is_not_taken_for_one(
    midstage: Midstage, services: Services
) -> None:
    file = services.directory / "platform.json"
    file.write_text(file.read_text().replace(services.url, "http://127.0.0.1:9"))
    for command in (["get", "usage"], ["send", "log", "-"]):
        ended = midstage(*command, "--dir", str(services.directory))
        assert (ended.returncode, ended.stdout) == (1, "")
        assert f"no platform runs in {services.directory}" in ended.stderr


def test_a_file_that_is_not_there_is_named(midstage: Midstage, services: Services) -> None:
    kafka = services.url.removeprefix("http://")
    ended = midstage("send", "log", "no-such-file", "--kafka", kafka)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "midstage: no-such-file can't be read: No such file or directory\n"


@pytest.mark.parametrize(
    "wrong",
    [
        ["get"],
        ["get", "users"],
        ["get", "usage", "-o", "xml"],
        ["set", "limit", "a", "--amount", "many"],
        ["send"],
        ["fly"],
    ],
)
def test_a_wrong_command_line_is_exit_2(midstage: Midstage, wrong: list[str]) -> None:
    ended = midstage(*wrong)
    assert ended.returncode == 2
    assert "Usage: midstage" in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["get", "usage", "--from", "noon"], "--from 'noon' is neither a time like"),
        (["get", "usage", "--server", "localhost:1"], "is not a URL like http://"),
        (["set", "limit", "a", "--amount", "1", "--per", "soon"], "--per 'soon' is no time like"),
        (["set", "limit", "a", "--amount", "1", "--on-failure", "x/1m"], "none of open, closed"),
        (["delete", "limit", "a", "--server", "http://127.0.0.1:9"], "--token-file"),
        (["send", "log", "-", "--kafka", "127.0.0.1:9"], "no Kafka answers at 127.0.0.1:9"),
        (["send", "log", "-", "--kafka", "localhost"], "'localhost' is not host:port"),
    ],
)
def test_what_can_not_be_is_said_in_one_sentence(
    midstage: Midstage, arguments: list[str], said: str
) -> None:
    ended = midstage(*arguments)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_token_open_to_others_is_not_used(midstage: Midstage, services: Services) -> None:
    (services.directory / "token").chmod(0o644)
    ended = midstage("delete", "limit", "a", "--dir", str(services.directory))
    assert ended.returncode == 1
    assert "chmod 600" in ended.stderr
    assert services.calls == []
