"""Stands where the services stand, for the commands that ask them."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

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
LIMIT_LEFT = {
    **{"limit": "acme-chat", "app": "chat", "unit": "requests"},
    **{"says": "5 requests per 2 s", "quota": 5, "used": 3, "remaining": 2},
    **{"wait_s": 0.4, "on_failure": "open", "shadow": False, "overridden_by": []},
    **{"because": "customer acme, application chat", "by": "api", "why": ""},
    "at": "2026-01-31T12:00:00Z",
}
LEFT = {"customer": "acme", "plan": None, "limits": [LIMIT_LEFT]}
FORESEEN = {
    **{"admitted": False, "violated": ["acme-chat"], "retry_after_s": 0.4},
    "limits": [LIMIT_LEFT],
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
TOKEN = "t0ken"
CLOSED = {"/v1/sources", "/v1/availability"}
"""What stats tells to nobody without a token."""
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
    answers: dict[str, object] = field(default_factory=lambda: dict(ANSWERS))
    url: str = ""

    def answer(self, call: Call) -> tuple[int, object]:
        self.calls.append(call)
        if call.path in self.problems:
            status = self.problems[call.path]
            return status, {"status": status, "detail": "the service's own sentence"}
        if call.path in CLOSED and call.token != f"Bearer {TOKEN}":
            return 401, {"status": 401, "detail": "it needs the token"}
        if call.query.get("customer") == "nobody":
            return 200, {"usage": [], "next": None}
        if call.method == "GET":
            return 200, self.answers[call.path]
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
    token.write_text(f"{TOKEN}\n")
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
